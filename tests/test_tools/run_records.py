"""Read what a run of a tool logged."""

import json
from pathlib import Path


def logged(work_dir, key):
    """Value of a key at each iteration, over all runs in a work dir; later runs win."""
    values = {}
    for log in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        for line in log.read_text().splitlines():
            record = json.loads(line)
            if key in record:
                values[record['step']] = record[key]
    return values


def metrics(work_dir, names=('aAcc', 'mIoU', 'mAcc')):
    """What the last test run in a work dir measured."""
    log = sorted(Path(work_dir).glob('*/[0-9]*.json'))[-1]
    record = json.loads(log.read_text())
    return {key: record[key] for key in names}
