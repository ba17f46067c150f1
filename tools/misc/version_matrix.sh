#!/usr/bin/env bash
# Run the fast tests with the oldest and the newest versions that the requirements allow, and on the
# upstream OpenMMLab line:
#     bash tools/misc/version_matrix.sh [LINE ...] [-- OPTIONS OF PYTEST]
# LINE is oldest, newest or openmmlab; all three if none is named. Each gets an environment of its own
# in $VERSIONS (work_dirs/versions), of Python $PYTHON (3.11). Needs uv.
set -u
cd "$(dirname "$0")/../.."
VERSIONS=${VERSIONS:-work_dirs/versions}

lines=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do lines+=("$1"); shift; done
[ $# -gt 0 ] && shift
[ ${#lines[@]} -gt 0 ] || lines=(oldest newest openmmlab)

install_line() {
    local install=(uv pip install --quiet --python "$VERSIONS/$1/bin/python")
    case $1 in
        oldest) "${install[@]}" --resolution lowest-direct '.[onedl,latent,tests]' ;;
        newest) "${install[@]}" --upgrade '.[onedl,latent,tests]' ;;
        openmmlab) "${install[@]}" --build-constraints requirements/build.txt '.[openmmlab,latent,tests]' ;;
        *) echo "no line $1: name oldest, newest or openmmlab" >&2; return 2 ;;
    esac
}

failed=0
for line in "${lines[@]}"; do
    echo "== $line"
    python=$VERSIONS/$line/bin/python
    [ -x "$python" ] || uv venv --quiet --python "${PYTHON:-3.11}" "$VERSIONS/$line" || exit 2
    install_line "$line" || { echo "$line: cannot be installed"; failed=1; continue; }
    uv pip list --python "$python" 2>/dev/null |
        grep -E '^(torch|torchvision|timm|transformers|diffusers|peft|numpy|(onedl-)?mm[a-z]+) '
    # the tests of this tree, not of the copy that was installed
    PYTHONPATH=$PWD OMP_NUM_THREADS=1 "$python" -m pytest -q "$@" || failed=1
done
exit $failed
