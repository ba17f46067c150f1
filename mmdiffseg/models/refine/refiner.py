"""The host of a :class:`MaskRefineHead`: masks of whole pictures, by crops of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.utils import SampleList
from numpy.typing import NDArray
from torch import Tensor

from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.diffusion.samplers import last_step
from mmdiffseg.diffusion.start import Start
from mmdiffseg.models.diffusion_head import sample_key
from mmdiffseg.models.refine.crops import (
    Box,
    cut,
    doubtful_boxes,
    inside,
    mask_box,
    outline_boxes,
    paste,
    resize,
    widen,
)
from mmdiffseg.models.refine.islands import without_islands
from mmdiffseg.models.refine.merging import Refined, join, merge_labels, whole_probability
from mmdiffseg.registry import MODELS

MODES = ('auto', 'object', 'whole', 'patches', 'global_local')


@dataclass(frozen=True, kw_only=True)
class Target:
    """A mask to refine.

    Args:
        image: The normalised image (3, H, W).
        mask: Mask (H, W), bool.
        name: What its randomness is named by.
        keep: Pixels (H, W), bool, in which the mask is right; None for none.
    """

    image: Tensor
    mask: Tensor
    name: str
    keep: Tensor | None = None


class Part(NamedTuple):
    """What a crop became.

    Attributes:
        box: Place of the crop.
        samples: Probability (G, h, w) of the object in the box, by generations.
        fine: Mean probability (s, s) of being fine at the end of the chain, at the size of a crop.
    """

    box: Box
    samples: Tensor
    fine: Tensor


@MODELS.register_module()
class MaskRefiner(EncoderDecoder):
    """An ``EncoderDecoder`` around a :class:`MaskRefineHead`, for masks that somebody made.

    Masks of any number of objects, classes and images become crops of one size, which are denoised
    in batches of ``decode_head.max_batch``. ``test_cfg`` has

    - ``mode``: ``'object'``, one crop around each object; ``'whole'``, the picture as one crop;
      ``'patches'``, crops at the resolution of the picture along the outline; ``'global_local'``,
      the picture as one crop and then, in one step, patches where that was doubtful (SegRefiner's
      mode for large pictures); ``'auto'``, patches for objects that a crop would shrink, and object
      crops for others.
    - ``size``: side of a crop in pixels (256); ``margin``: pixels around an object (20);
      ``min_area``: masks of fewer pixels are left as they are (512).
    - ``interpolation``: of pictures and masks where the picture becomes one crop, ``'bilinear'``
      or, as released, ``'nearest'``.
    - ``islands``: whether something may appear or vanish away from the outline of the mask (True,
      as released), see :func:`without_islands`.
    - ``background``: label of the pixels that no class claims (0); None leaves them as they were.

    Example:
        >>> target = Target(image=image, mask=mask, name='a.jpg/1')
        >>> (refined,) = model.refine([target])
        >>> refined.box, refined.samples.shape
        ((12, 40, 140, 200), torch.Size([1, 160, 128]))
    """

    @torch.no_grad()
    def refine(
        self,
        targets: Sequence[Target],
        *,
        mode: str | None = None,
        steps: int | None = None,
        strength: float = 1.0,
        draws: Draws | None = None,
    ) -> list[Refined | None]:
        """Refine masks, of one image or of several, all in the same batches.

        Args:
            targets: The masks and their images.
            mode: Instead of that of ``test_cfg``.
            steps: Sampling steps instead of those of the head; ``'global_local'`` takes the last of
                them in patches.
            strength: Share of the times that chains may use, see :class:`Start`.
            draws: Uniform ``step0``, ... (G N, 1, s, s) of the N crops. By default every crop has
                randomness of its own, by the name of its target.

        Returns:
            For each target what became of it; None where nothing is to be refined: a mask of fewer
            pixels than ``min_area``, or one without an outline in the mode ``'patches'``.
        """
        mode = mode or self.test_cfg.get('mode', 'auto')
        if mode not in MODES:
            raise ValueError(f'mode must be one of {MODES}, got {mode!r}')
        options = dict(steps=steps, strength=strength, draws=draws)
        if mode == 'global_local':
            refined = self._refine_globally(targets, options)
        else:
            boxes = [self._boxes(target.mask, mode) for target in targets]
            parts = self._denoise(targets, boxes, **options, fade=mode == 'object')
            refined = [
                join(target.mask.float()[None], of_target) if of_target else None
                for target, of_target in zip(targets, parts, strict=True)
            ]
        if not self.test_cfg.get('islands', True):
            refined = [
                one
                and replace(one, samples=without_islands(one.samples, cut(target.mask, one.box)))
                for target, one in zip(targets, refined, strict=True)
            ]
        return refined

    def prepare_picture(self, pixels: NDArray) -> Tensor:
        """A picture (H, W, 3), uint8 RGB, normalised as in training: (3, H, W)."""
        blue_first = torch.from_numpy(pixels[..., ::-1].transpose(2, 0, 1).copy())
        (image,) = self.data_preprocessor(dict(inputs=[blue_first]), False)['inputs']
        return image[:, : pixels.shape[0], : pixels.shape[1]]  # without padding

    def _boxes(self, mask: Tensor, mode: str) -> list[Box]:
        """The crops of a mask (H, W) in a mode."""
        if int(mask.sum()) < max(self.test_cfg.get('min_area', 512), 1):
            return []
        if mode == 'whole':
            return [(0, 0, mask.shape[1], mask.shape[0])]
        left, top, right, bottom = box = widen(
            mask_box(mask), self.test_cfg.get('margin', 20), mask.shape
        )
        if mode == 'auto':
            longest = max(right - left, bottom - top)
            mode = 'object' if longest <= self._size else 'patches'
        return [box] if mode == 'object' else outline_boxes(mask, self._size)

    @property
    def _size(self) -> int:
        """Side of a crop."""
        return self.test_cfg.get('size', 256)

    def _refine_globally(self, targets: Sequence[Target], options: dict) -> list[Refined | None]:
        """SegRefiner's mode for large pictures: all steps but one globally, one locally."""
        num_timesteps = self.decode_head.noise_schedule.num_timesteps
        boxes = [self._boxes(target.mask, 'whole') for target in targets]
        steps = options['steps'] or self.decode_head.share_of_steps(options['strength'])
        options = {**options, 'steps': max(steps - 1, 1)}
        interpolation = self.test_cfg.get('interpolation', 'bilinear')
        whole = self._denoise(targets, boxes, **options, interpolation=interpolation)
        bases = [parts[0].samples if parts else None for parts in whole]
        found, boxes = [], []
        for target, base, parts in zip(targets, bases, whole, strict=True):
            if base is None:
                continue
            mask = base.mean(dim=0) >= 0.5
            found.append(
                Target(image=target.image, mask=mask, name=f'{target.name}/local', keep=target.keep)
            )
            places = doubtful_boxes(parts[0].fine, self._size, mask.shape)
            boxes.append([box for box in places if cut(mask, box).unique().numel() > 1])
        local = iter(self._denoise(found, boxes, steps=1, strength=1 / num_timesteps))
        refined = []
        for base in bases:
            if base is None:
                refined.append(None)
                continue
            parts = next(local)
            box = (0, 0, base.shape[2], base.shape[1])
            # patches lie on the binary result of the global pass, as in the released code
            binary = (base >= 0.5).float()
            refined.append(join(binary, parts) if parts else Refined(box=box, samples=base))
        return refined

    def _denoise(
        self,
        targets: Sequence[Target],
        boxes: Sequence[Sequence[Box]],
        *,
        steps: int | None,
        strength: float,
        draws: Draws | None = None,
        interpolation: str = 'bilinear',
        fade: bool = False,
    ) -> list[list[Part]]:
        """Run the chains of all crops of all targets, ``max_batch`` of them at once."""
        crops = [
            (target, box) for target, places in zip(targets, boxes, strict=True) for box in places
        ]
        head, parts = self.decode_head, []
        at_once = head.max_batch or max(len(crops), 1)
        for first in range(0, len(crops), at_once):
            rows = range(first, min(first + at_once, len(crops)))
            some = None
            if draws is not None:
                generations = range(head.generations)
                some = draws.select(
                    [g * len(crops) + row for g in generations for row in rows],
                    of=head.generations * len(crops),
                )
            batch = [crops[row] for row in rows]
            parts += self._denoise_batch(
                batch,
                steps=steps,
                strength=strength,
                draws=some,
                interpolation=interpolation,
                fade=fade,
            )
        parts = iter(parts)
        return [list(islice(parts, len(places))) for places in boxes]

    def _denoise_batch(
        self,
        crops: Sequence[tuple[Target, Box]],
        *,
        steps: int | None,
        strength: float,
        draws: Draws | None,
        interpolation: str,
        fade: bool,
    ) -> list[Part]:
        size = (self._size, self._size)
        images = [resize(cut(target.image, box), size, interpolation) for target, box in crops]
        masks = [
            resize(cut(target.mask, box)[None].float(), size, interpolation) >= 0.5
            for target, box in crops
        ]
        keep = None
        if any(target.keep is not None for target, _ in crops):
            # a place is kept if one of its pixels is
            keep = torch.cat([self._kept(target, box, size) for target, box in crops])
        # the box too, because an object may have several crops
        metas = [dict(sample_id=f'{target.name}/{box}') for target, box in crops]
        head = self.decode_head
        ends = []
        for chain in head.chains(
            self.extract_feat(torch.stack(images)),
            metas,
            draws,
            Start(map=torch.cat(masks), strength=strength, keep=keep),
            steps=steps,
        ):
            last = last_step(chain)
            ends.append(torch.cat([last.x0, last.fine], dim=1))
        # (G B, 2, s, s) -> (B, G, 2, s, s)
        ends = torch.cat(ends).unflatten(0, (-1, len(crops))).transpose(0, 1)
        parts = []
        for (target, box), end in zip(crops, ends, strict=True):
            samples, fine = end.unbind(1)
            left, top, right, bottom = box
            whole = (bottom - top, right - left)
            samples = paste(samples, whole) if fade else resize(samples, whole, interpolation)
            place = inside(box, target.mask.shape)
            samples = samples[:, : place[3] - top, : place[2] - left]
            if target.keep is not None:
                mask = cut(target.mask, place).float()
                samples = torch.where(cut(target.keep, place), mask, samples)
            parts.append(Part(place, samples, fine.mean(dim=0)))
        return parts

    @staticmethod
    def _kept(target: Target, box: Box, size: tuple[int, int]) -> Tensor:
        if target.keep is None:
            return target.mask.new_zeros(1, *size)
        return F.interpolate(cut(target.keep, box)[None, None].float(), size, mode='area')[0] > 0

    def predict(
        self,
        inputs: Tensor,
        data_samples: SampleList,
        *,
        draws: Draws | None = None,
    ) -> SampleList:
        """Refine the coarse labels of some pictures, each class by itself and all in one batch.

        Args:
            inputs: Images (B, 3, H, W), of their original size but for the padding.
            data_samples: Their samples with ``coarse_sem_seg`` (1, h, w), filled in place.
            draws: See :meth:`refine`.

        Returns:
            Samples with ``pred_sem_seg`` (1, h, w), and ``seg_prob`` (1, h, w), the probability of
            the foreground, where there are no labels but 0 and 1.

        Raises:
            ValueError: A coarse mask has another size than its image.
        """
        background = self.test_cfg.get('background', 0)
        targets, ids = [], []
        for image, sample in zip(inputs, data_samples, strict=True):
            labels = sample.coarse_sem_seg.data[0].to(image.device)
            h, w = sample.metainfo.get('img_shape', image.shape[1:])[:2]
            if tuple(labels.shape) != (h, w):
                raise ValueError(
                    f'the coarse mask of {sample.metainfo.get("img_path")} is {labels.shape[1]}x'
                    f'{labels.shape[0]}, its image {w}x{h}: give masks of the size of the images'
                )
            ids.append([label for label in labels.unique().tolist() if label != background])
            name = sample_key(sample.metainfo)
            targets += [
                Target(image=image[:, :h, :w], mask=labels == label, name=f'{name}/{label}')
                for label in ids[-1]
            ]
        refined = iter(self.refine(targets, draws=draws))
        for sample, labels in zip(data_samples, ids, strict=True):
            coarse = sample.coarse_sem_seg.data[0].to(inputs.device)
            found = [next(refined) for _ in labels]
            objects = [one and (one.box, one.probability) for one in found]
            merged = merge_labels(coarse, labels, objects, background=background)
            sample.pred_sem_seg = PixelData(data=merged[None])
            if labels in ([], [1]):
                probability = whole_probability(coarse == 1, found[0] if found else None)
                sample.seg_prob = PixelData(data=probability[None])
        return data_samples
