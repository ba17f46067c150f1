#!/usr/bin/env bash
# Train with several processes on one machine or more: bash tools/dist_train.sh CONFIG PROCESSES [...]
# One GPU per process, or the CPU where there is none. Several machines: set NNODES, NODE_RANK,
# MASTER_ADDR and PORT on each.
set -e

CONFIG=$1
PROCESSES=$2

PYTHONPATH="$(dirname "$0")/..:$PYTHONPATH" python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$PROCESSES" \
    "$(dirname "$0")/train.py" "$CONFIG" --launcher pytorch "${@:3}"
