#!/usr/bin/env bash
# Prints the first Python that mocap-video runs on (3.10 to 3.12, with venv); says what to do where there is none.
set -euo pipefail

works='import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))'
for candidate in python3 python3.12 python3.11 python3.10; do
    if "$candidate" -c "$works" >/dev/null 2>&1; then
        echo "$candidate"
        exit 0
    fi
done

echo "no Python 3.10, 3.11 or 3.12 with the venv module was found." >&2
echo "On Debian or Ubuntu: apt-get install python3 python3-venv; elsewhere name one: make PYTHON=/path/to/python3.12" >&2
exit 1
