"""The documentation holds: its links lead somewhere, its cam.yaml files are accepted, its commands and names exist."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import click
import pytest

from mocap_video.calib.files import read_calibration
from mocap_video.pipeline import results
from mocap_video.pipeline.cli import main

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")])


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced code blocks of ``language`` in ``page``."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_cam_yaml_in_the_guide_is_accepted(tmp_path: Path) -> None:
    examples = [text for page in PAGES for text in blocks(page, "yaml") if "image_size" in text]
    assert len(examples) >= 3
    for text in examples:
        (tmp_path / "cam.yaml").write_text(text)
        assert read_calibration(tmp_path / "cam.yaml").camera.size == (1920, 1080)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_named_exist(page: Path) -> None:
    assert isinstance(main, click.Group)
    named = set(re.findall(r"\bmocap-video ([a-z]{3,})\b", page.read_text()))
    assert named <= set(main.commands) | {"import"}


def test_the_imports_of_the_python_examples_work() -> None:
    imported = [
        (node.module, alias.name)
        for page in PAGES
        for text in blocks(page, "python")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    ]
    assert any(module.startswith("mocap_video") for module, _ in imported)
    assert [name for module, name in imported if not hasattr(importlib.import_module(module), name)] == []


def test_the_npz_contract_is_the_one_that_is_written() -> None:
    """Names, types and shapes in docs/outputs.md against those that ``results`` checks before it writes."""
    section = (ROOT / "docs" / "outputs.md").read_text().partition("## people/NNN.npz")[2].partition("\n## ")[0]
    documented = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", section, re.MULTILINE))
    written = {name: f"{_shape(shape)}{kind}" for name, (kind, shape) in results._LAYOUT.items()}
    assert documented == written


def _shape(sides: tuple[int, ...]) -> str:
    return f"({', '.join('T' if side < 0 else str(side) for side in sides)}) " if sides else ""
