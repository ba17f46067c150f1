"""Ref-Diff: find the region that a sentence means, without any training (arXiv 2308.16777)."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
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

from mmdiffseg.diffusion.draws import Draws, noise_name
from mmdiffseg.models.referring.image_cache import CachedImage, ImageCache
from mmdiffseg.models.referring.positional_bias import dimmed, ramp
from mmdiffseg.models.referring.root_finder import Root
from mmdiffseg.registry import MODELS, TASK_UTILS

NO_BIAS = dict(type='mmdiffseg.PositionalBias', directions=())


@dataclass(kw_only=True)
class Query:
    """A sentence that can be answered.

    Attributes:
        text: The sentence.
        root: The word that it is about.
        notes: What makes the answer doubtful, in plain sentences.
    """

    text: str
    root: Root
    notes: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Referral(Query):
    """A sentence and the answer to it.

    The scores rank the proposals of one sentence. They are no measure of confidence: the heat map
    is stretched to [0, 1] for every sentence, whether or not the image shows what the sentence
    names, and some proposal always wins.

    Attributes:
        proposals: Candidate masks (N, H, W), bool.
        keep: Which of them passed the filter (N,), bool.
        scores: Scores (N,) of the proposals by view ('hard', 'soft', 'gen'); nan where the filter
            dropped the proposal.
        total: Weighted sum of the scores (N,); dropped proposals have the score that the filter
            gives them.
        index: Number of the proposal that is the answer.
        heat: Attention map (H, W) in [0, 1], if the model has a generator.
    """

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


@MODELS.register_module()
class RefDiff(BaseModel):
    """Zero-shot referring segmentation: proposals, scored by how well they fit a sentence.

    A part that is None is neither loaded nor run. The paper's variants are: Ref-Diff/G, a generator
    and weight-free proposals; /GS, a generator and SAM; /DS, SAM and CLIP. All weights are frozen.
    Results that do not depend on the sentence are computed once per image.

    Example:
        >>> config = Config.fromfile('configs/_base_/models/ref_diff_tiny.py')
        >>> model = MODELS.build(config.model)
        >>> (referral,) = model.segment(image, ['the red circle on the left'])  # image: RGB array
        >>> referral.mask  # (H, W) bool

    Args:
        proposer: Makes the candidate masks, from an image or (``per_sentence``) from a heat map.
        generator: Makes heat maps, see :class:`CrossAttentionLocalizer`.
        discriminator: Compares regions with texts, see :class:`MaskedCLIP`.
        root_finder: Finds the word that a sentence is about.
        positional_bias: Reads directions from sentences.
        proposal_filter: Drops proposals before they are scored.
        fusion: Weighs the scores. The weight of a score is 0 where its part is None.
        bgr_bug: Swap red and blue for all networks, as the released code does.
        first_sentence_only: Give all sentences of a sample the answer to the first one, as the
            released code does with its shipped caches. Needs samples with several sentences
            (``texts``).
        cache_images: Number of images whose results are kept for further sentences.
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
        """Stay in evaluation mode: nothing is trained."""
        return super().train(False)

    def forward(
        self,
        inputs: Sequence[Tensor],
        data_samples: Sequence[SegDataSample],
        mode: str = 'predict',
        *,
        draws: Draws | None = None,
    ) -> list[SegDataSample]:
        """Predict the masks of all sentences; no other mode exists.

        Args:
            inputs: Images (3, H, W) uint8 BGR.
            data_samples: For each image ``text`` (str) or ``texts`` (list), and ``img_path``.
            mode: ``'predict'``.
            draws: The noise, one row for each sentence that is answered, see :meth:`segment`.

        Returns:
            The samples with ``pred_instances.masks`` (n, H, W) bool, one for each sentence; for a
            single ``text`` also ``pred_sem_seg`` (1, H, W) uint8; ``ref_scores``, the total scores
            of the proposals of each sentence; and ``attn_map`` (n, H, W) if there is a generator.

        Raises:
            NotImplementedError: In any other mode.
        """
        if mode != 'predict':
            raise NotImplementedError(
                f'Ref-Diff is not trained and only predicts, but was asked for mode={mode!r}'
            )
        asked = [self._asked(sample) for sample in data_samples]
        rows, first = sum(map(len, asked)), 0
        for image, sample, texts in zip(inputs, data_samples, asked, strict=True):
            pixels = image.permute(1, 2, 0).cpu().numpy()  # (3, H, W) -> (H, W, 3) BGR
            if not self.bgr_bug:
                pixels = pixels[..., ::-1]
            own = draws and draws.select(range(first, first + len(texts)), of=rows)
            name = Path(sample.get('img_path') or '').name
            referrals = self.segment(np.ascontiguousarray(pixels), texts, name=name, draws=own)
            self._write(sample, referrals)
            first += len(texts)
        return list(data_samples)

    def _asked(self, sample: SegDataSample) -> list[str]:
        texts = sample.texts if 'texts' in sample else [sample.text]
        return texts[:1] if self.first_sentence_only else texts

    def _write(self, sample: SegDataSample, referrals: list[Referral]) -> None:
        if self.first_sentence_only and 'texts' in sample:
            referrals = referrals * len(sample.texts)
        masks = torch.stack([referral.mask for referral in referrals])  # (n, H, W)
        sample.pred_instances = InstanceData(masks=masks)
        if 'texts' not in sample:
            sample.pred_sem_seg = PixelData(data=masks.to(torch.uint8))
        sample.ref_scores = [referral.total for referral in referrals]
        if self.generator is not None:
            heats = torch.stack([referral.heat for referral in referrals])
            sample.attn_map = PixelData(data=heats)

    def read(self, text: str) -> Query:
        """Read a sentence before any image is looked at.

        Raises:
            ValueError: No encoder can read it.
        """
        text = text.strip()
        root = self.root_finder.find(text)
        notes = []
        for part in (self.generator, self.discriminator):
            if part is not None:
                notes += [note for note in part.check(text, root) if note not in notes]
        return Query(text=text, root=root, notes=notes)

    @torch.no_grad()
    def segment(
        self,
        image: NDArray,
        texts: Sequence[str],
        *,
        name: str = '',
        draws: Draws | None = None,
    ) -> list[Referral]:
        """Find what sentences mean, and return everything that was computed on the way.

        What makes an answer doubtful is given as warnings, and as its ``notes``.

        Args:
            image: (H, W, 3) uint8 RGB.
            texts: n sentences about it.
            name: File name of the image, for masks that were computed before.
            draws: The noise, one row for each sentence, see :class:`CrossAttentionLocalizer`. By
                default it depends on the seed, the content of the image and the sentence alone.

        Raises:
            ValueError: The image is no RGB picture, or a sentence cannot be read.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(
                f'an image must be (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}'
            )
        queries = [self.read(text) for text in texts]
        cached = self.cache.get(image, name)
        heats = self._heats(cached, queries, draws)
        features = self._text_features(queries)
        for note in dict.fromkeys(note for query in queries for note in query.notes):
            warnings.warn(note, stacklevel=3)  # no_grad adds a frame

        return [
            self._answer(cached, query, heat, words)
            for query, heat, words in zip(queries, heats, features, strict=True)
        ]

    def _heats(
        self, cached: CachedImage, queries: Sequence[Query], draws: Draws | None
    ) -> list[Tensor | None]:
        """Attention map (H, W) of each sentence, None without a generator."""
        if self.generator is None:
            return [None] * len(queries)
        if cached.moments is None:
            cached.moments = self.generator.encode_image(cached.pixels)
        for query in queries:
            query.notes += self.generator.check_image(cached.moments)
        if draws is None:
            names = [noise_name(cached.key, query.text) for query in queries]
            draws = Draws.named(names, seed=self.generator.seed)
        heats = self.generator(
            cached.moments,
            [query.text for query in queries],
            [query.root for query in queries],
            size=cached.pixels.shape[:2],
            draws=draws,
        )
        sides = [self.positional_bias.side(query.text, 'heat') for query in queries]
        return [
            heat * torch.from_numpy(ramp(side, *heat.shape)) if side else heat
            for heat, side in zip(heats, sides, strict=True)
        ]

    def _text_features(self, queries: Sequence[Query]) -> list[tuple[Tensor, Tensor] | None]:
        """CLIP's features (C,) of each sentence and of its root word, None without CLIP."""
        if self.discriminator is None:
            return [None] * len(queries)
        texts = [query.text for query in queries] + [query.root.word for query in queries]
        sentences, words = self.discriminator.encode_text(texts).cpu().chunk(2)
        return list(zip(sentences, words, strict=True))

    def _answer(
        self,
        cached: CachedImage,
        query: Query,
        heat: Tensor | None,
        words: tuple[Tensor, Tensor] | None,
    ) -> Referral:
        """Propose masks, score those that pass the filter, and take the best."""
        proposals, keep = self._proposals(cached, heat)
        scores = self._scores(cached, proposals[keep], query.text, heat, words)
        total = torch.full((len(proposals),), self._dropped_score)
        if scores:
            total[keep] = self.fusion(scores)
        unknown = torch.full_like(total, torch.nan)
        return Referral(
            **vars(query),
            proposals=proposals,
            keep=keep,
            scores={view: unknown.masked_scatter(keep, score) for view, score in scores.items()},
            total=total,
            index=int(total.argmax()),
            heat=heat,
        )

    @property
    def _dropped_score(self) -> float:
        return self.proposal_filter.dropped_score if self.proposal_filter else 0.0

    def _proposals(self, cached: CachedImage, heat: Tensor | None) -> tuple[Tensor, Tensor]:
        """Masks (N, H, W), the whole image if none is found, and which of them to keep (N,)."""
        if self.proposer.per_sentence:
            return self._filtered(self.proposer(heat))
        if cached.proposals is None:
            masks = self.proposer(cached.pixels, cached.name)
            if not len(masks):
                masks = torch.ones(1, *cached.pixels.shape[:2], dtype=torch.bool)
            cached.proposals = self._filtered(masks)
        return cached.proposals

    def _filtered(self, masks: Tensor) -> tuple[Tensor, Tensor]:
        if self.proposal_filter is None:
            return masks, torch.ones(len(masks), dtype=torch.bool)
        return masks, self.proposal_filter(masks)

    def _scores(
        self,
        cached: CachedImage,
        masks: Tensor,
        text: str,
        heat: Tensor | None,
        words: tuple[Tensor, Tensor] | None,
    ) -> dict[str, Tensor]:
        """Scores (n,) of kept masks (n, H, W) by view; none if no mask was kept."""
        scores, weights = {}, self.fusion.weights
        if not len(masks):
            return scores
        for view in ('hard', 'soft'):
            if weights[view]:
                side = self.positional_bias.side(text, view)
                regions = self._region_features(cached, masks, view, side)
                scores[view] = self.fusion.similarity(view, regions, *words)
        if weights['gen']:
            scores['gen'] = self.fusion.generative(heat, masks)
        return scores

    def _region_features(
        self, cached: CachedImage, masks: Tensor, view: str, side: str | None
    ) -> Tensor:
        """CLIP's features (n, C) of masks (n, H, W) in a view that is bright on one side."""
        if self.proposer.per_sentence or (view, side) not in cached.regions:
            encode = dict(hard=self.discriminator.encode_hard, soft=self.discriminator.encode_soft)
            cached.regions[view, side] = encode[view](dimmed(cached.pixels, side), masks).cpu()
        return cached.regions[view, side]


def _build(registry: Registry, cfg: dict | None) -> Any:
    return None if cfg is None else registry.build(cfg)
