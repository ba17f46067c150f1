"""Packing of in-context episodes."""

import torch
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs
from torch import Tensor

from mmdiffseg.registry import TRANSFORMS

EPISODE_KEYS = (
    'class_id',
    'class_name',
    'fold',
    'sample_id',
    'seed',
    'video',
    'frame',
    'num_frames',
)


@TRANSFORMS.register_module()
class PackInContextInputs(PackSegInputs):
    """Pack a query and its prompts; nothing is padded here.

    Args:
        stride: Pixels of a cell of the grid on which the model sees the masks of prompts, 16 for
            CLIP's 16 x 16 tokens of 256 pixels. Only counts: ``prompt_cells`` in the sample's
            metainfo says how many cells of each prompt show the concept, by their first pixel.
    """

    def __init__(self, *, stride: int = 16) -> None:
        super().__init__()
        self.stride = stride

    def transform(self, results: dict) -> dict:
        """Pack one episode.

        Returns:
            ``inputs``: ``query`` (3, h, w), ``prompts``, a list of (3, h_i, w_i), and
            ``prompt_masks``, a list of (h_i, w_i) of {0, 1, 255}, all uint8; ``data_samples``, a
            SegDataSample with ``gt_sem_seg`` (1, h, w) and what is known of the episode.
        """
        prompts = results.pop('prompts')
        packed = super().transform(results)
        masks = [torch.from_numpy(prompt['gt_seg_map']) for prompt in prompts]
        packed['inputs'] = dict(
            query=packed['inputs'],
            prompts=[PackSegInputs.transform(self, prompt)['inputs'] for prompt in prompts],
            prompt_masks=masks,
        )
        sample = packed['data_samples']
        sample.set_metainfo({key: results[key] for key in EPISODE_KEYS if key in results})
        sample.set_metainfo(
            dict(
                prompt_paths=[prompt['img_path'] for prompt in prompts],
                prompt_cells=[self._cells(mask) for mask in masks],
            )
        )
        if 'gt_class_map' in results:
            labels = torch.from_numpy(results['gt_class_map']).long()
            sample.gt_class_map = PixelData(data=labels[None])  # (H, W) -> (1, H, W)
        return packed

    def _cells(self, mask: Tensor) -> int:
        return int((mask[:: self.stride, :: self.stride] == 1).sum())

    def __repr__(self) -> str:
        return f'PackInContextInputs(stride={self.stride})'
