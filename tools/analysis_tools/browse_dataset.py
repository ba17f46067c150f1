"""Look at a training set after augmentation, with mmseg's own tool.

python tools/analysis_tools/browse_dataset.py CONFIG --output-dir pictures --not-show
"""

from mmdiffseg.engine.launch import run_mmseg_tool

if __name__ == '__main__':
    run_mmseg_tool('analysis_tools/browse_dataset.py')
