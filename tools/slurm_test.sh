#!/usr/bin/env bash
# Test on a Slurm cluster: bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [...]
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS say what to ask for.
set -e

PARTITION=$1
JOB_NAME=$2
CONFIG=$3
CHECKPOINT=$4

PYTHONPATH="$(dirname "$0")/..:$PYTHONPATH" srun -p "$PARTITION" \
    --job-name="$JOB_NAME" \
    --gres="gpu:${GPUS_PER_NODE:-4}" \
    --ntasks="${GPUS:-4}" \
    --ntasks-per-node="${GPUS_PER_NODE:-4}" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    $SRUN_ARGS \
    python -u "$(dirname "$0")/test.py" "$CONFIG" "$CHECKPOINT" --launcher slurm "${@:5}"
