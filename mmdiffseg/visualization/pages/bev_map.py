"""Pages about a map whose layers may overlap."""

import mmcv
from mmengine.fileio import get
from mmseg.structures import SegDataSample
from numpy.typing import NDArray

from mmdiffseg.visualization import grey_map, layers_picture, panel


def map_pages(sample: SegDataSample, meta: dict, *, columns: int = 4) -> list[NDArray]:
    """The panel of a map.

    Args:
        sample: Its ``map_prob`` and maybe ``gt_map``, (K, h, w), and ``img_path``, the picture or
            the feature it was made from.
        meta: ``classes`` and ``palette`` of the data.
        columns: Pictures in a row.

    Returns:
        One page, uint8 RGB.
    """
    prob = sample.map_prob.data.float().cpu().numpy()
    pictures = {'prediction': layers_picture(prob >= 0.5, meta['palette'])}
    if 'gt_map' in sample:
        truth = layers_picture(sample.gt_map.data.float().cpu().numpy(), meta['palette'])
        pictures = {'ground truth': truth, **pictures}
    pictures |= {name: grey_map(layer) for name, layer in zip(meta['classes'], prob, strict=True)}
    if not sample.img_path.endswith('.npy'):  # a feature looks like nothing
        image = mmcv.imfrombytes(get(sample.img_path), channel_order='rgb')
        size = image.shape[1::-1]
        pictures = {
            caption: mmcv.imresize(picture, size, interpolation='nearest')
            for caption, picture in pictures.items()
        }
        pictures = {'image': image, **pictures}
    legend = dict(zip(meta['classes'], meta['palette'], strict=True))
    return [panel(pictures, columns=columns, legend=legend)]
