"""Every backend of off-screen OpenGL draws the same; none is needed to import the package.

Each case has a process of its own: PyOpenGL fixes its platform once for a process.
"""

from __future__ import annotations

import ctypes.util
import os
import subprocess
import sys

DRAW = """
import numpy as np
from mocap_video.render.gl import Canvas, ScreenMesh, backend_name
from mocap_video.render.mesh import Topology

xy = np.array([[9.5, 9.5], [9.5, 30.5], [30.5, 30.5], [30.5, 9.5]])
faces = np.array([[0, 1, 2], [0, 2, 3]])
square = ScreenMesh(xy, np.full(4, 5.0), np.tile([1.0, 0.5, 0.0, 1.0], (4, 1)), Topology(faces, 4))
with Canvas() as canvas:
    rgba, depth = canvas.draw([square], (4, 2), (60, 50))
rows, columns = np.nonzero(rgba[..., 3] == 255)
print(backend_name().split(":")[0], rgba.shape, rows.min(), rows.max(), columns.min(), columns.max())
print(rgba[18, 16].tolist(), rgba[0, 0].tolist(), round(float(depth[18, 16]), 3), float(depth[0, 0]))
"""
EXPECTED = "(50, 60, 4) 9 27 7 25\n[255, 128, 0, 255] [0, 0, 0, 0] 5.0 0.0\n"
"""The square covers pixels 10 to 30; softened, 11 to 29 of them in full: less the corner (4, 2)."""


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYOPENGL_PLATFORM"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=kept | environment, check=False)


def test_the_default_backend_draws() -> None:
    done = run(DRAW)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(" ", 1)[1] == EXPECTED


def test_osmesa_draws_the_same_or_says_what_to_install() -> None:
    done = run(DRAW, PYOPENGL_PLATFORM="osmesa")
    if ctypes.util.find_library("OSMesa"):
        assert done.stdout == "osmesa " + EXPECTED, done.stderr
    else:
        assert "MissingExtra" in done.stderr
        assert "libosmesa6" in done.stderr


def test_without_any_library_the_error_names_the_packages() -> None:
    done = run("import ctypes.util\nctypes.util.find_library = lambda name: None\n" + DRAW)
    assert done.returncode != 0
    assert "MissingExtra: No off-screen OpenGL. EGL: libEGL is not installed." in done.stderr
    assert "apt-get install libegl1 libgl1 libgl1-mesa-dri" in done.stderr


def test_falls_back_to_osmesa_and_warns() -> None:
    hide = (
        "import ctypes.util, logging\nlogging.basicConfig()\nfind = ctypes.util.find_library\n"
        "ctypes.util.find_library = lambda name: None if name == 'EGL' else find(name)\n"
    )
    done = run(hide + DRAW)
    if ctypes.util.find_library("OSMesa"):
        assert done.stdout == "osmesa " + EXPECTED, done.stderr
        assert "EGL cannot be used (libEGL is not installed)" in done.stderr
    else:
        assert "MissingExtra" in done.stderr


def test_an_unknown_platform_is_refused() -> None:
    done = run(DRAW, PYOPENGL_PLATFORM="glx")
    assert "PYOPENGL_PLATFORM: expected egl, osmesa or unset, got 'glx'" in done.stderr


def test_importing_opens_nothing() -> None:
    modules = ", ".join(f"mocap_video.render.{name}" for name in ("overlay", "topview", "review", "scene", "wardrobe"))
    code = (
        f"import os, sys, {modules}\n"
        "assert 'PYOPENGL_PLATFORM' not in os.environ\n"
        "assert not {'OpenGL', 'pyrender'} & set(sys.modules)\n"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr
