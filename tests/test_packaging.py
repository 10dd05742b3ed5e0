"""The root folders install as ``mocap_video.*``: what is on disk is what is listed, shipped and importable."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS: dict[str, Any] = PROJECT["tool"]["setuptools"]
ROOTS = {folder: package for package, folder in SETUPTOOLS["package-dir"].items()}
LARGEST_ASSET_MB = 50


def packages_on_disk() -> set[str]:
    """Return the dotted names of all folders with an ``__init__.py`` under the root folders."""
    found: set[str] = set()
    for folder, package in ROOTS.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join([package, *init.parent.relative_to(ROOT / folder).parts]))
    return found


def shipped_data() -> set[Path]:
    """Return the files that ``package-data`` ships."""
    folders = {package: ROOT / folder for folder, package in ROOTS.items()}
    return {
        path
        for package, patterns in SETUPTOOLS["package-data"].items()
        for pattern in patterns
        for path in folders[package].glob(pattern)
    }


def test_packages_on_disk_are_the_packages_listed() -> None:
    assert packages_on_disk() == set(SETUPTOOLS["packages"])


def test_every_python_folder_is_a_package() -> None:
    bare = {
        path.parent.relative_to(ROOT)
        for folder in ROOTS
        for path in (ROOT / folder).rglob("*.py")
        if not (path.parent / "__init__.py").exists()
    }
    assert bare == set()


def test_every_data_file_of_the_packages_ships() -> None:
    present = {
        path
        for folder in ROOTS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"} and not path.name.startswith(".")
    }
    assert present == shipped_data()


def test_shipped_data_carries_its_licence_and_stays_small() -> None:
    for folder in {path.parent for path in shipped_data()} - {ROOT / "pipeline" / "pages"}:  # pages are our own code
        names = {path.name for path in folder.iterdir()}
        assert any(name.startswith("LICENSE") for name in names), f"{folder}: no licence text beside the data"
        assert any(name.startswith("NOTICE") for name in names), f"{folder}: no notice beside the data"
    heavy = {path.name for path in shipped_data() if path.stat().st_size > LARGEST_ASSET_MB * 1e6}
    assert heavy == set()


@pytest.mark.parametrize("package", sorted(SETUPTOOLS["packages"]))
def test_each_package_is_imported_from_its_folder(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__name__ == package


@pytest.mark.parametrize("folder", sorted(set(ROOTS) - {"mocap_video"}))
def test_each_root_package_refuses_its_generic_name(folder: str) -> None:
    spec = importlib.util.spec_from_file_location(folder, ROOT / folder / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(ImportError, match=rf"mocap_video\.{folder}"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


@pytest.mark.parametrize("folder", sorted(set(ROOTS) - {"mocap_video"}))
def test_ruff_bans_each_generic_name(folder: str) -> None:
    assert folder in PROJECT["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]


def test_pytest_does_not_put_the_root_folders_on_the_path() -> None:
    assert "--import-mode=importlib" in PROJECT["tool"]["pytest"]["ini_options"]["addopts"]


def test_the_registries_look_where_there_are_modules() -> None:
    registry = importlib.import_module("mocap_video.registry")
    for name in ("MOTION_READERS", "NETWORKS", "DATASETS", "OPTIMIZERS"):
        for location in getattr(registry, name)._locations:
            assert importlib.util.find_spec(location) is not None, location


def test_the_core_imports_nothing_heavy() -> None:
    """``mocap-video --help`` must answer at once, and a script that only reads results needs no torch."""
    code = "import sys, mocap_video.types, mocap_video.errors, mocap_video.artifacts; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert set(out.split()) & {"torch", "cv2", "mmengine", "OpenGL", "av"} == set()


def test_every_import_is_a_declared_dependency() -> None:
    """What merely happens to be installed, through a test tool or another package, is missing for a user."""
    declared = {_normal_name(spec) for spec in PROJECT["project"]["dependencies"]}
    declared |= {_normal_name(spec) for spec in PROJECT["project"]["optional-dependencies"]["smpl"]}
    owners = importlib.metadata.packages_distributions()
    undeclared = {
        name: str(path.relative_to(ROOT))
        for folder in ROOTS
        for path in (ROOT / folder).rglob("*.py")
        for name in _imported_roots(path) - set(sys.stdlib_module_names) - {"mocap_video"}
        if not {_normal_name(owner) for owner in owners.get(name, [name])} & declared
    }
    assert undeclared == {}


def _normal_name(requirement: str) -> str:
    return re.split(r"[<>=!~;\[ ]", requirement)[0].lower().replace("_", "-")


def _imported_roots(path: Path) -> set[str]:
    roots: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            roots.add(node.module.split(".")[0])
    return roots


def test_dependencies_are_bounded_where_a_later_release_is_known_to_break() -> None:
    bounds = {_normal_name(spec): spec for spec in PROJECT["project"]["dependencies"]}
    for name in ("numpy", "opencv-python", "setuptools", "torch", "mmengine"):
        assert "<" in bounds[name], bounds[name]
    assert "opencv-python-headless" not in bounds, "it owns cv2 too: never install both"
