"""The layers: mocap_video < calib < {detectors, lifter, render} < pipeline; siblings never import each other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "mocap_video": set(),
    "calib": set(),
    "detectors": {"calib"},
    "lifter": {"calib"},
    "render": {"calib"},
    "configs": set(),
    "pipeline": {"calib", "configs", "detectors", "lifter", "render"},
}


def imported_layers(source: str) -> set[str]:
    """Return the layers above the core, ``calib`` and so on, that ``source`` imports at any depth of its code."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    parts = [name.split(".") for name in names]
    return {part[1] for part in parts if part[0] == "mocap_video" and len(part) > 1 and part[1] in MAY_IMPORT}


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_a_layer_imports_only_those_below_it(layer: str) -> None:
    wrong = {
        str(path.relative_to(ROOT)): upward
        for path in (ROOT / layer).rglob("*.py")
        if (upward := imported_layers(path.read_text()) - MAY_IMPORT[layer] - {layer})
    }
    assert wrong == {}


@pytest.mark.parametrize(
    "source",
    [
        "import mocap_video.render.mesh",
        "from mocap_video import render",
        "from mocap_video.render.mesh import PosedMesh",
        "def draw():\n    from mocap_video.render import mesh",
        "if TYPE_CHECKING:\n    import mocap_video.render as drawing",
    ],
)
def test_the_check_sees_every_form_of_import(source: str) -> None:
    assert imported_layers(source) == {"render"}


def test_only_the_geometry_projects() -> None:
    """Guards the commonest copy of this field: a second projection function, or OpenCV's beside our own."""
    offenders = {
        str(path.relative_to(ROOT))
        for layer in MAY_IMPORT
        for path in (ROOT / layer).rglob("*.py")
        if path != ROOT / "calib" / "geometry.py" and projects(ast.parse(path.read_text()))
    }
    assert offenders == set()


def projects(module: ast.Module) -> bool:
    """Whether ``module`` defines a projection of its own or calls OpenCV's; methods that pass on to ours are fine."""
    functions = {node.name for node in module.body if isinstance(node, ast.FunctionDef)}
    attributes = {node.attr for node in ast.walk(module) if isinstance(node, ast.Attribute)}
    return bool(
        functions & {"project", "project_points", "perspective_projection"}
        or attributes & {"projectPoints", "undistortPoints", "initUndistortRectifyMap"}
    )
