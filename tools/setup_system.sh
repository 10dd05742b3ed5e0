#!/usr/bin/env bash
# Makes sure that the system libraries for drawing without a screen are there. As root on Debian or Ubuntu it installs
# them, and Python's venv module where that is missing; otherwise it says what is missing and how to get it. Run by
# `make`; does nothing where all is well. `setup_system.sh browser` also installs, as root, the browser that the tests of
# the pages drive; without it they skip.
set -euo pipefail

packages=(libegl1 libgl1 libgl1-mesa-dri libgles2)
libraries=(libEGL.so.1 libGL.so.1 libGLESv2.so.2)
missing=()

if [ "$(uname -s)" != Linux ]; then
    exit 0 # not known here: `mocap-video doctor` tries the drawing and says what is missing
fi

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    "$(dirname "$0")/find_python.sh" >/dev/null 2>&1 || packages+=(python3-venv)
    for package in "${packages[@]}"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing+=("$package")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        echo "installing system packages: ${missing[*]}"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -qq -y --no-install-recommends "${missing[@]}"
    fi
    if [ "${1:-}" = browser ] && ! command -v chromium chromium-browser google-chrome >/dev/null; then
        echo "installing chromium for the tests of the pages"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium ||
            echo "no package chromium here (Ubuntu has a snap): the tests of the pages will skip" >&2
    fi
    exit 0
fi

# Without the right to install, what counts is that the libraries can be loaded, whoever brought them.
known=$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p)
for library in "${libraries[@]}"; do
    grep -qF "$library" <<<"$known" || missing+=("$library")
done
if [ ${#missing[@]} -gt 0 ]; then
    echo "missing for drawing without a screen: ${missing[*]}" >&2
    echo "on Debian or Ubuntu: sudo apt-get install ${packages[*]}" >&2
    echo "elsewhere: the packages that bring Mesa's EGL, OpenGL, OpenGL ES and software driver" >&2
    exit 1
fi
