"""Build pipeline/pages/vendor/three.min.js: the part of three.js that the viewer uses, as one classic script.

    python tools/build_viewer.py

Needs npm and the network. The versions below are fixed, so the same file comes out again; README.md beside it holds the
digest, and a test compares the two. A classic script that sets one global works from file://, where modules do not.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

THREE = "0.187.0"
ESBUILD = "0.28.2"
TARGET = Path(__file__).parents[1] / "pipeline" / "pages" / "vendor"

CORE = (
    "AmbientLight", "Bone", "BufferAttribute", "BufferGeometry", "CanvasTexture", "CircleGeometry", "Color",
    "CylinderGeometry", "DirectionalLight", "DoubleSide", "Group", "HemisphereLight", "InstancedMesh", "Line",
    "LineBasicMaterial", "LineLoop", "LineSegments", "Matrix4", "Mesh", "MeshBasicMaterial", "MeshLambertMaterial",
    "PerspectiveCamera", "Quaternion", "Raycaster", "Scene", "Skeleton", "SkinnedMesh", "SphereGeometry", "Sprite",
    "SpriteMaterial", "SRGBColorSpace", "Vector2", "Vector3", "WebGLRenderer",
)  # fmt: skip

README = """# three.js, as it ships here

`three.min.js` is made by `python tools/build_viewer.py` from the npm packages three {three} (MIT) with esbuild
{esbuild}: the classes that the pages use and OrbitControls, unchanged but for bundling and minifying, as one classic
script that sets the global `THREE`.

| file | SHA-256 |
|---|---|
| three.min.js | `{digest}` |
| npm tarball three-{three}.tgz ({tarball}) | integrity `{integrity}` |
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        entry = f"export {{ {', '.join(CORE)} }} from 'three';\n"
        entry += "export { OrbitControls } from 'three/addons/controls/OrbitControls.js';\n"
        (folder / "entry.js").write_text(entry)
        (folder / "package.json").write_text('{"private": true}')
        run(folder, "npm", "install", "--silent", "--no-audit", "--no-fund", f"three@{THREE}", f"esbuild@{ESBUILD}")
        run(folder, "node_modules/.bin/esbuild", "entry.js", "--bundle", "--minify", "--format=iife",
            "--global-name=THREE", "--target=es2020", "--legal-comments=eof", "--outfile=three.min.js")  # fmt: skip
        TARGET.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "three.min.js", TARGET / "three.min.js")
        shutil.copy(folder / "node_modules" / "three" / "LICENSE", TARGET / "LICENSE-three.txt")
        locked = json.loads((folder / "package-lock.json").read_text())["packages"]["node_modules/three"]
    digest = hashlib.sha256((TARGET / "three.min.js").read_bytes()).hexdigest()
    (TARGET / "README.md").write_text(
        README.format(
            three=THREE,
            esbuild=ESBUILD,
            digest=digest,
            tarball=f"registry path three/-/three-{THREE}.tgz",
            integrity=locked["integrity"],
        )
    )
    print(f"{TARGET / 'three.min.js'}: {(TARGET / 'three.min.js').stat().st_size} bytes, {digest}")


def run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True)


if __name__ == "__main__":
    main()
