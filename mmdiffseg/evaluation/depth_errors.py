"""Errors of a depth map, and the pixels of an image that the benchmarks compare."""

import numpy as np
from numpy.typing import NDArray

# Names as in mmseg; the authors of DDP call the first three a1, a2 and a3, and log10 log_10.
DEPTH_ERRORS = ('d1', 'd2', 'd3', 'abs_rel', 'sq_rel', 'rmse', 'rmse_log', 'log10', 'silog')
CROPS = ('garg', 'eigen', 'nyu')


def depth_errors(pred: NDArray, gt: NDArray) -> dict[str, float]:
    """Compare depths.

    Args:
        pred: Predicted depths (N,) in metres, above 0; at least one.
        gt: True depths (N,) in metres, above 0.

    Returns:
        For each of ``DEPTH_ERRORS`` its value: ``d1``, ``d2`` and ``d3`` are shares of pixels in
        [0, 1], ``silog`` is in percent, ``rmse`` and ``sq_rel`` in metres.
    """
    pred, gt = pred.astype(np.float64), gt.astype(np.float64)
    ratio = np.maximum(gt / pred, pred / gt)
    error = np.abs(gt - pred)
    log_error = np.log(pred) - np.log(gt)
    errors = dict(
        d1=(ratio < 1.25).mean(),
        d2=(ratio < 1.25**2).mean(),
        d3=(ratio < 1.25**3).mean(),
        abs_rel=(error / gt).mean(),
        sq_rel=(error**2 / gt).mean(),
        rmse=np.sqrt((error**2).mean()),
        rmse_log=np.sqrt((log_error**2).mean()),
        log10=np.abs(log_error).mean() / np.log(10),
        silog=100 * log_error.std(),
    )
    return {name: float(value) for name, value in errors.items()}


def crop_mask(shape: tuple[int, int], crop: str | None) -> NDArray[np.bool_]:
    """The pixels that count.

    Args:
        shape: Height and width of the map.
        crop: ``'garg'`` or ``'eigen'``, shares of the size (KITTI); ``'nyu'``, fixed rows and
            columns made for 640x480; or None for all pixels.

    Returns:
        True where pixels count, (H, W).
    """
    height, width = shape
    if crop is None:
        rows, cols = (0, height), (0, width)
    elif crop == 'garg':
        rows = int(0.40810811 * height), int(0.99189189 * height)
        cols = int(0.03594771 * width), int(0.96405229 * width)
    elif crop == 'eigen':
        rows = int(0.3324324 * height), int(0.91351351 * height)
        cols = int(0.0359477 * width), int(0.96405229 * width)
    else:
        rows, cols = (45, 471), (41, 601)
    mask = np.zeros(shape, bool)
    mask[slice(*rows), slice(*cols)] = True
    return mask
