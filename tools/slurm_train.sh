#!/usr/bin/env bash
# Train on a Slurm cluster: bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG [...]
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS say what to ask for.
set -e

PARTITION=$1
JOB_NAME=$2
CONFIG=$3

PYTHONPATH="$(dirname "$0")/..:$PYTHONPATH" srun -p "$PARTITION" \
    --job-name="$JOB_NAME" \
    --gres="gpu:${GPUS_PER_NODE:-8}" \
    --ntasks="${GPUS:-8}" \
    --ntasks-per-node="${GPUS_PER_NODE:-8}" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    $SRUN_ARGS \
    python -u "$(dirname "$0")/train.py" "$CONFIG" --launcher slurm "${@:4}"
