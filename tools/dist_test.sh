#!/usr/bin/env bash
# Test with several processes: bash tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [...]
# (CHECKPOINT is "" for a model that is not trained.)
# One GPU per process, or the CPU where there is none. Several machines: set NNODES, NODE_RANK,
# MASTER_ADDR and PORT on each.
set -e

CONFIG=$1
CHECKPOINT=$2
PROCESSES=$3

PYTHONPATH="$(dirname "$0")/..:$PYTHONPATH" python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$PROCESSES" \
    "$(dirname "$0")/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
