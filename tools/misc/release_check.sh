#!/usr/bin/env bash
# Build what would be published, install it where nothing else is, and use it from an empty folder:
#     bash tools/misc/release_check.sh
# The wheel is built from the source archive, so that both are checked. $PYTHON needs uv (make
# release-check has one); the environment has the versions of requirements/constraints.txt.
set -euo pipefail
cd "$(dirname "$0")/../.."
PYTHON=$(realpath --no-symlinks "${PYTHON:-python3}")
root=$PWD
out=$root/build/release

rm -rf "$out"
"$PYTHON" -m uv build --quiet --python "$PYTHON" --out-dir "$out"
ls -l "$out"
"$PYTHON" -m uv venv --quiet --python "$PYTHON" "$out/venv"
"$PYTHON" -m uv pip install --quiet --python "$out/venv/bin/python" \
    -c requirements/constraints.txt "$(ls "$out"/*.whl)[onedl]"

mkdir "$out/empty"
cd "$out/empty"
env -u PYTHONPATH "$out/venv/bin/python" "$root/tools/misc/try_installation.py"
