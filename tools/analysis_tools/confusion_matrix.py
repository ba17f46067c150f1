"""Draw the confusion matrix of a test run.

    python tools/test.py CONFIG CHECKPOINT --out predictions
    python tools/analysis_tools/confusion_matrix.py CONFIG predictions pictures

mmseg's own tool of this name computes in 8 bits, which mixes up the classes beyond the 15th.
"""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmdiffseg.engine import command_line, launch
from mmdiffseg.output_dir import claim_output_dir, finish_output_dir

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def parse_args() -> Namespace:
    """Read the command line."""
    parser = command_line.make_parser(__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('prediction_path', type=Path, help='folder written by test.py --out')
    parser.add_argument('save_dir', type=Path, help='folder for confusion_matrix.png and .npy')
    parser.add_argument('--data-root', help='where the data lie, instead of what the config says')
    parser.add_argument('--show', action='store_true', help='also open a window')
    parser.add_argument('--title', default='Share of each true class (rows), %')
    parser.add_argument('--color-theme', default='viridis', help='matplotlib colour map')
    parser.add_argument(
        '--overwrite', action='store_true', help='write to a folder that holds other files already'
    )
    command_line.add_cfg_options(parser)
    return parser.parse_args()


def confusion(prediction: NDArray, target: NDArray, num_classes: int, ignore_index: int) -> NDArray:
    """Pixels of each true class (rows) predicted as each class (columns), (K, K)."""
    known = target != ignore_index
    pairs = num_classes * target[known].astype(np.int64) + prediction[known]
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def check_prediction(prediction: NDArray, target: NDArray, num_classes: int, path: Path) -> None:
    """Check that a prediction, (H, W), can be compared with its truth.

    Raises:
        ValueError: It has another size, or holds a class that the data set lacks.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f'{path} has the shape {prediction.shape} and the labels {target.shape}: give the '
            'predictions of this data set'
        )
    if prediction.min() < 0 or prediction.max() >= num_classes:
        wrong = prediction.min() if prediction.min() < 0 else prediction.max()
        raise ValueError(
            f'{path} holds class {wrong} of {num_classes}: give the predictions of this config'
        )


def plot(matrix: NDArray, classes: list[str], title: str, color_theme: str) -> 'Figure':
    """Draw the matrix in percent of its rows."""
    import matplotlib.pyplot as plt

    percent = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = 2.5 + 0.45 * len(classes)
    figure, axes = plt.subplots(figsize=(side, side), layout='constrained')
    axes.imshow(percent, cmap=color_theme, vmin=0, vmax=100)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha='right')
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel='predicted', ylabel='true', title=title)
    for (row, column), value in np.ndenumerate(percent):
        if value >= 0.5:
            colour = 'white' if value < 60 else 'black'
            axes.text(column, row, f'{value:.0f}', ha='center', va='center', color=colour, size=8)
    return figure


def main(args: Namespace) -> None:
    """Compare predictions with the ground truth and draw."""
    cfg = command_line.read_config(args.config, args.cfg_options)
    if args.data_root:
        launch.set_data_root(cfg, args.data_root)
    launch.check_data_roots(cfg, 'test')
    inputs = [args.prediction_path, *launch.data_folders(cfg)]
    claim_output_dir(args.save_dir, inputs=inputs, overwrite=args.overwrite)
    if args.show:
        command_line.need_display('leave --show out and look at the file')

    from mmengine.registry import DATASETS, init_default_scope
    from mmengine.utils import track_iter_progress

    init_default_scope(cfg.get('default_scope', 'mmseg'))
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    classes = dataset.metainfo['classes']
    matrix = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for index in track_iter_progress(range(len(dataset))):
        sample = dataset[index]['data_samples']
        path = args.prediction_path / f'{Path(sample.img_path).stem}.png'
        prediction = np.asarray(Image.open(path)).astype(np.int64)
        if dataset.reduce_zero_label:
            prediction = prediction - 1  # test.py writes such labels as in the ground truth files
        target = sample.gt_sem_seg.data[0].numpy()
        check_prediction(prediction, target, len(classes), path)
        matrix += confusion(prediction, target, len(classes), dataset.ignore_index)
    np.save(args.save_dir / 'confusion_matrix.npy', matrix)
    figure = plot(matrix, classes, args.title, args.color_theme)
    figure.savefig(args.save_dir / 'confusion_matrix.png', dpi=150)
    finish_output_dir(args.save_dir)
    print(f'\nWritten: {args.save_dir}/confusion_matrix.png and .npy')
    if args.show:
        import matplotlib.pyplot as plt

        plt.show()


if __name__ == '__main__':
    command_line.run(main, parse_args)
