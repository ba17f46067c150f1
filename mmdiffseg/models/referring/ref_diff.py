"""Ref-Diff: which region of an image a sentence means, without any training (arXiv 2308.16777)."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.registry import Registry
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample
from numpy.typing import NDArray
from torch import Tensor

from mmdiffseg.models.referring.image_cache import ImageCache, image_key
from mmdiffseg.models.referring.positional_bias import dimmed, ramp
from mmdiffseg.models.referring.root_finder import Root
from mmdiffseg.registry import MODELS, TASK_UTILS


@dataclass
class Referral:
    """The answer to one sentence.

    Attributes:
        text: The sentence.
        root: The word it is about.
        proposals: Candidate masks (N, H, W), bool.
        keep: Which of them were let through (N,), bool.
        scores: For each view that was looked at ('hard', 'soft', 'gen'), the scores (N,) of the
            proposals; nan for those that were not kept.
        total: All scores in one (N,); that of dropped proposals is the filter's.
        index: The proposal that is the answer.
        heat: Attention map (H, W) in [0, 1], if there is a generator.
    """

    text: str
    root: Root
    proposals: Tensor
    keep: Tensor
    scores: dict[str, Tensor]
    total: Tensor
    index: int
    heat: Tensor | None

    @property
    def mask(self) -> Tensor:
        """The answer (H, W), bool."""
        return self.proposals[self.index]


NO_BIAS = dict(type='mmdiffseg.PositionalBias', directions=())

#: gives a result by its name, and by how to compute it
Remember = Callable[[Hashable, Callable], Any]


def _compute_anew(_: Hashable, compute: Callable) -> Any:
    return compute()


def _build(registry: Registry, cfg: dict | None) -> Any:
    return None if cfg is None else registry.build(cfg)


@MODELS.register_module()
class RefDiff(BaseModel):
    """Zero-shot referring segmentation: proposals, scored by how well they fit a sentence.

    Parts that are None are not there: generator and weight-free proposals alone are the paper's
    Ref-Diff/G, generator and SAM /GS, SAM and CLIP /DS. Everything is frozen. What does not depend
    on the sentence is computed once for each image.

    Args:
        proposer: Makes the candidate masks, of an image or (``per_sentence``) of a heat map.
        generator: Makes heat maps, see :class:`CrossAttentionLocalizer`.
        discriminator: Compares regions with texts, see :class:`MaskedCLIP`.
        root_finder: Finds the word that a sentence is about.
        positional_bias: Reads directions from sentences.
        proposal_filter: Drops proposals before they are scored.
        fusion: Weighs the scores; those of parts that are not there need the weight 0.
        bgr_bug: Show all networks red for blue, as the released code does.
        first_sentence_only: Give all sentences of a sample the answer to the first, as the released
            code does with its shipped caches. Needs samples of several sentences (``texts``).
        cache_images: Images whose sentence-independent results are kept.
        data_preprocessor: Moves the data to the device; images stay (3, H, W) uint8 BGR.

    Raises:
        ValueError: Weights and parts do not go together.
    """

    def __init__(
        self,
        *,
        proposer: dict,
        generator: dict | None = None,
        discriminator: dict | None = None,
        root_finder: dict = dict(type='mmdiffseg.auto_root_token_finder'),
        positional_bias: dict | None = dict(type='mmdiffseg.PositionalBias'),
        proposal_filter: dict | None = None,
        fusion: dict = dict(type='mmdiffseg.RefScoreFusion'),
        bgr_bug: bool = False,
        first_sentence_only: bool = False,
        cache_images: int = 4,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor)
        self.fusion = TASK_UTILS.build(fusion)
        self.proposer = MODELS.build(proposer)
        weights = self.fusion.weights
        for name, given, needed in (
            ('generator', generator, weights['gen'] or self.proposer.per_sentence),
            ('discriminator', discriminator, weights['hard'] or weights['soft']),
        ):
            if bool(needed) != (given is not None):
                state = 'missing' if needed else 'given but not needed'
                raise ValueError(
                    f'the {name} is {state} with {type(self.proposer).__name__} and the fusion '
                    f'weights {weights}: give it exactly where it is used'
                )
        self.generator = _build(MODELS, generator)
        self.discriminator = _build(MODELS, discriminator)
        self.root_finder = TASK_UTILS.build(root_finder)
        self.positional_bias = TASK_UTILS.build(positional_bias or NO_BIAS)
        self.proposal_filter = _build(TASK_UTILS, proposal_filter)
        self.bgr_bug = bgr_bug
        self.first_sentence_only = first_sentence_only
        self.cache = ImageCache(cache_images)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> 'RefDiff':
        """Stay in evaluation mode, whatever is asked for."""
        return super().train(False)

    def forward(
        self,
        inputs: Sequence[Tensor],
        data_samples: Sequence[SegDataSample],
        mode: str = 'predict',
    ) -> list[SegDataSample]:
        """Predict; there is nothing else to do.

        Args:
            inputs: Images (3, H, W) uint8 BGR.
            data_samples: For each, ``text`` (str) or ``texts`` (list), and ``img_path``.
            mode: ``'predict'``.

        Returns:
            The samples with ``pred_instances.masks`` (n, H, W) bool, one for each sentence; for a
            single ``text``, ``pred_sem_seg`` (1, H, W) uint8 as well; ``ref_scores``, for each
            sentence the total scores of its proposals; and ``attn_map`` (n, H, W) where there is a
            generator.

        Raises:
            NotImplementedError: In any other mode.
        """
        if mode != 'predict':
            raise NotImplementedError(
                f'Ref-Diff is not trained and only predicts, but was asked for mode={mode!r}'
            )
        for image, sample in zip(inputs, data_samples, strict=True):
            self._predict_image(image.permute(1, 2, 0).cpu().numpy(), sample)
        return list(data_samples)

    def _predict_image(self, image: NDArray, sample: SegDataSample) -> None:
        texts = sample.texts if 'texts' in sample else [sample.text]
        asked = texts[:1] if self.first_sentence_only else texts
        if not self.bgr_bug:
            image = image[..., ::-1]
        name = Path(sample.get('img_path') or '').name
        referrals = self.segment(np.ascontiguousarray(image), asked, name=name)
        if self.first_sentence_only:
            referrals = referrals * len(texts)
        masks = torch.stack([referral.mask for referral in referrals])  # (n, H, W)
        sample.pred_instances = InstanceData(masks=masks)
        if 'texts' not in sample:
            sample.pred_sem_seg = PixelData(data=masks.to(torch.uint8))
        sample.ref_scores = [referral.total for referral in referrals]
        if self.generator is not None:
            heats = torch.stack([referral.heat for referral in referrals])
            sample.attn_map = PixelData(data=heats)

    @torch.no_grad()
    def segment(self, image: NDArray, texts: Sequence[str], *, name: str = '') -> list[Referral]:
        """Find what sentences mean, with everything that was computed on the way.

        Args:
            image: (H, W, 3) uint8 RGB.
            texts: Sentences about it.
            name: File name of the image, for masks that were computed before.
        """
        texts = [text.strip() for text in texts]
        roots = [self.root_finder.find(text) for text in texts]
        key = image_key(image)
        remember = partial(self.cache.get, key)
        heats = features = [None] * len(texts)
        if self.generator is not None:
            moments = remember('moments', partial(self.generator.encode_image, image))
            noise = self.generator.draw_noise([f'{key}/{text}' for text in texts])
            heats = self.generator(moments, texts, roots, image.shape[:2], noise)
        if self.discriminator is not None:
            words = [root.word for root in roots]
            both = self.discriminator.encode_text(texts + words).cpu().chunk(2)
            features = zip(*both, strict=True)  # of a sentence and of its root
        if self.proposer.per_sentence:
            remember = _compute_anew
        return [
            self._refer(image, name, remember, *about)
            for about in zip(texts, roots, heats, features, strict=True)
        ]

    def _refer(
        self,
        image: NDArray,
        name: str,
        remember: Remember,
        text: str,
        root: Root,
        heat: Tensor | None,
        text_features: tuple[Tensor, Tensor] | None,
    ) -> Referral:
        """Answer one sentence, of which everything is known that needs no masks."""
        sides = self.positional_bias.sides(text)
        if sides['heat']:
            heat = heat * torch.from_numpy(ramp(sides['heat'], *heat.shape))
        propose = partial(self._propose, image, name, heat)
        proposals, keep = remember('proposals', propose)
        kept, weights, scores = proposals[keep], self.fusion.weights, {}
        if keep.any():
            for view in ('hard', 'soft'):
                if weights[view]:
                    encode = partial(self._encode, view, image, sides[view], kept)
                    regions = remember((view, sides[view]), encode)
                    scores[view] = self.fusion.similarity(view, regions, *text_features)
            if weights['gen']:
                scores['gen'] = self.fusion.generative(heat, kept)

        dropped = self.proposal_filter.dropped_score if self.proposal_filter else 0.0
        total = torch.full((len(proposals),), dropped)
        if scores:
            total[keep] = self.fusion(scores)
        unknown = torch.full_like(total, torch.nan)
        scores = {view: unknown.masked_scatter(keep, score) for view, score in scores.items()}
        return Referral(text, root, proposals, keep, scores, total, int(total.argmax()), heat)

    def _propose(self, image: NDArray, name: str, heat: Tensor | None) -> tuple[Tensor, Tensor]:
        """Masks (N, H, W), the whole image where there are none, and which to keep (N,)."""
        per_sentence = self.proposer.per_sentence
        masks = self.proposer(heat) if per_sentence else self.proposer(image, name)
        if not len(masks):
            masks = torch.ones(1, *image.shape[:2], dtype=torch.bool)
        if self.proposal_filter is None:
            return masks, torch.ones(len(masks), dtype=torch.bool)
        return masks, self.proposal_filter(masks)

    def _encode(self, view: str, image: NDArray, side: str | None, masks: Tensor) -> Tensor:
        """CLIP's features (N, C) of masks in one of its views, dimmed but on one side."""
        encode = getattr(self.discriminator, f'encode_{view}')
        return encode(dimmed(image, side), masks).cpu()
