"""The one contract of heads that diffuse: what all of them share in training and inference.

Notation, here and in every head:

    B images, G generations (chains) of each, K classes, Q queries
    C channels of the encoded map of size (h, w); the image has (H, W)
    x0 clean encoded map, z_t noisy map at time t, eps its noise     (B, C, h, w)
    the batch of a chain holds all images once per generation        (G B, C, h, w)
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmdiffseg.diffusion.draws import Draws, check_seed, noise_name
from mmdiffseg.diffusion.samplers import Chain
from mmdiffseg.diffusion.start import Start, resize_start
from mmdiffseg.models.explained_arguments import ExplainsArguments, check_whole
from mmdiffseg.models.labels import given_probabilities
from mmdiffseg.models.memory import check_chain
from mmdiffseg.registry import LABEL_ENCODERS, NOISE_SCHEDULES, SAMPLERS


def sample_key(meta: dict) -> str:
    """Name of an image (or of its sample) and its view, for the noise drawn at test time."""
    view = meta.get('flip_direction') if meta.get('flip') else None
    name = meta.get('sample_id') or Path(meta.get('img_path') or '').name
    return noise_name(name, view)


class DiffusionHead(ExplainsArguments):
    """Mixin over mmseg's ``BaseDecodeHead`` or mmdet's ``Mask2FormerHead``.

    A head calls :meth:`build_diffusion` in its constructor and says five things: :meth:`prepare`
    (what is computed once per image), :meth:`map_shape`, :meth:`denoise`, :meth:`encode_output`
    (the way from an output back to a map) and ``loss``. Inference is here: :meth:`chains` yields
    the chains of all generations, :meth:`summarise` reads the prediction off them.

    Example:
        >>> for chain in head.chains(features, metas, steps=10):
        ...     for step in chain:
        ...         if good_enough(step.output):
        ...             break
    """

    #: ``'prob'`` averages the class probabilities of all steps instead of the final outputs
    accumulation: bool | str = False
    #: whether ``in_index`` was left out, which is fine where a single map comes in
    needs_one_map = False

    def build_diffusion(
        self,
        *,
        label_encoder: dict | None,
        noise_schedule: dict,
        diffusion_sampler: dict,
        steps: int | None,
        generations: int,
        max_batch: int | None,
        seed: int,
    ) -> None:
        """Build and check what every head needs.

        Args:
            label_encoder: Complete config of the label encoder; None for categorical diffusion,
                which corrupts the labels themselves.
            noise_schedule: Complete config of the noise schedule.
            diffusion_sampler: Config of the sampler; the schedule is filled in.
            steps: Sampling steps; None takes all of a discrete schedule.
            generations: Generations per image.
            max_batch: Most maps to denoise at once; None sets no bound.
            seed: Seed of the noise drawn at test time.
        """
        check_whole(steps=steps)
        self.noise_schedule = NOISE_SCHEDULES.build(noise_schedule)
        self.label_encoder = self._build_label_encoder(label_encoder)
        self.diffusion_sampler = SAMPLERS.build(
            {**diffusion_sampler, 'schedule': self.noise_schedule}
        )
        if steps is None and not hasattr(self.noise_schedule, 'num_timesteps'):
            raise ValueError(
                f'steps=None takes all steps of a discrete schedule, and '
                f'{type(self.noise_schedule).__name__} is continuous: give a number'
            )
        self.steps = self.noise_schedule.num_timesteps if steps is None else steps
        self.diffusion_sampler.time_pairs(self.steps)  # refuses impossible step counts right here
        self.set_generations(generations, max_batch=max_batch, seed=seed)

    def set_generations(self, generations: int, *, max_batch: int | None, seed: int) -> None:
        """Check and keep how many generations to make; see :meth:`build_diffusion`."""
        check_whole(generations=generations, max_batch=max_batch, seed=seed)
        if generations < 1:
            raise ValueError(f'generations must be at least 1, got {generations}')
        if max_batch is not None and max_batch < 1:
            raise ValueError(f'max_batch must be at least 1, got {max_batch}')
        check_seed(seed)
        self.generations = generations
        self.max_batch = max_batch
        self.seed = seed

    def _build_label_encoder(self, label_encoder: dict | None) -> Any:
        categorical = getattr(self.noise_schedule, 'encodes_labels', False)
        if categorical != (label_encoder is None):
            schedule = type(self.noise_schedule).__name__
            raise ValueError(
                f'{schedule} corrupts the labels themselves: set label_encoder=None'
                if categorical
                else f'{schedule} corrupts encoded labels: label_encoder=None is for categorical '
                'diffusion'
            )
        return self.noise_schedule if categorical else LABEL_ENCODERS.build(label_encoder)

    # what a head says of itself

    def prepare(self, feature: Any, metas: Sequence[dict]) -> Any:
        """Everything the denoiser needs of the images, computed once for all steps."""
        raise NotImplementedError

    def map_shape(self, feature: Any, metas: Sequence[dict]) -> tuple[int, int, int]:
        """Shape (C, h, w) of the encoded map."""
        raise NotImplementedError

    def denoise(self, z_t: Tensor, t: Tensor, context: Any) -> Any:
        """Output for noisy maps (G B, C, h, w) at times (G B,) or (1,), float32."""
        raise NotImplementedError

    def encode_output(self, output: Any, size: tuple[int, int]) -> Tensor:
        """Encode an output to an estimate of x0 (G B, C, h, w) of a size (h, w)."""
        raise NotImplementedError

    def probabilities(self, output: Any) -> Tensor:
        """Class probabilities (G B, K, h, w) that an output stands for."""
        raise NotImplementedError

    def summary_probabilities(self, summary: Tensor) -> Tensor:
        """Class probabilities (B, K, H, W) that a summary of :meth:`predict` stands for."""
        return summary if self.accumulation else self.probabilities(summary)

    def class_maps(self, output: Any) -> Tensor:
        """Maps of all classes (G B, K, h, w) that an output stands for; most are such maps."""
        return output

    def predict_step(self, z_t: Tensor, t: Tensor, context: Any) -> tuple[Any, Tensor | None]:
        """The output of a step of sampling, and its variance if the network learns one."""
        return self.denoise(z_t, t, context), None

    def limit(self, output: Tensor) -> Tensor:
        """Bring an averaged output (B, K, h, w) into its range; logits have none."""
        return output

    def _transform_inputs(self, inputs: Sequence[Tensor]) -> Any:
        """Choose the features to work on, as mmseg does."""
        if self.needs_one_map and len(inputs) > 1:
            sizes = ', '.join(f'{x.shape[1]} x {x.shape[2]} x {x.shape[3]}' for x in inputs)
            raise ValueError(
                f'{len(inputs)} feature maps of {sizes} meet {type(self).__name__}: say which to '
                'use by in_index; -1 is the last one, which mmseg takes by default'
            )
        return super()._transform_inputs(inputs)

    # training

    one_step = False  #: train at the time of a one-step chain alone, see OneStepHook

    def draw_times(self, count: int, draws: Draws, device: torch.device) -> Tensor:
        """Training times (count,) from the draw ``t``."""
        t = self.any_times(count, draws, device)
        if not self.one_step:
            return t
        return torch.full_like(t, self.diffusion_sampler.time_pairs(1)[0][0])

    def any_times(self, count: int, draws: Draws, device: torch.device) -> Tensor:
        """Training times (count,) from the draw ``t``, as the schedule has them."""
        return self.noise_schedule.draw_times(count, draws, device)

    def corrupt(self, x0: Tensor, draws: Draws) -> tuple[Tensor, Tensor, Tensor]:
        """Corrupt what the label encoder made of the truth at random times.

        Args:
            x0: Clean encoded maps (B, C, h, w); labels (B, h, w) for categorical diffusion.
            draws: ``t`` (B,) and ``eps``, in this order: normal (B, C, h, w), or Gumbel noise
                (B, S, h, w) for the states of a categorical diffusion.

        Returns:
            z_t (B, C, h, w), t (B,) and eps.
        """
        t = self.draw_times(len(x0), draws, x0.device)
        z_t, eps = self.noise_schedule.draw_noisy(x0, t, draws)
        return z_t, t, eps

    # inference

    def chains(
        self,
        inputs: Sequence[Tensor],
        metas: Sequence[dict],
        draws: Draws | None = None,
        start: Start | None = None,
        *,
        steps: int | None = None,
    ) -> Iterator[Chain]:
        """Iterate over chains; each denoises as many generations at once as ``max_batch`` allows.

        Args:
            inputs: Features of the neck or backbone.
            metas: Meta information of the B images; it names them.
            draws: Noise ``start`` (G B, C, h, w), and ``step0``, ``step1``, ... for a stochastic
                sampler: normal, or Gumbel for categorical diffusion. By default each image and
                generation has noise by its own name, which the windows of a sliding inference
                share. Gumbel ``label0``, ... for a label encoder with ``reencode='draw'``.
            start: Map of the B images to start from, in place of pure noise.
            steps: Sampling steps instead of those of the head, of which a chain that starts from a
                map takes the share that its strength is.

        Yields:
            Chains, to be walked one after the other. All images are in each of them; bound their
            number by :meth:`batches`.

        Raises:
            ValueError: Memory cannot hold the maps.
        """
        feature = self._transform_inputs(inputs)
        shape = self.map_shape(feature, metas)
        b, size = len(metas), shape[1:]
        rows = self.generations * b
        at_once = rows if self.max_batch is None else max(self.max_batch // b, 1) * b
        check_chain(
            min(at_once, rows),
            shape,
            metas,
            classes=getattr(self, 'out_channels', 0),
            device=inputs[0].device,
        )
        context = self.prepare(feature, metas)
        if draws is None:
            generations = range(self.generations)
            names = [self.noise_name(meta, size, g) for g in generations for meta in metas]
            draws = Draws.named(names, seed=self.seed)
        if steps is None:
            steps = self.share_of_steps(1.0 if start is None else start.strength)
        if start is not None:
            start = self.encode_start(start, size)
        for first in range(0, rows, at_once):
            group = range(first, min(first + at_once, rows))
            yield self.chain(
                context,
                shape=(len(group), *shape),
                steps=steps,
                draws=draws.select(group, of=rows),
                device=inputs[0].device,
                start=start and start.select([row % b for row in group]),
            )

    def share_of_steps(self, strength: float) -> int:
        """How many steps a chain takes that starts at a strength, see :class:`Start`."""
        return max(round(strength * self.steps), 1)

    def chain(
        self,
        context: Any,
        *,
        shape: Sequence[int],
        steps: int,
        draws: Draws,
        device: torch.device,
        start: Start | None = None,
    ) -> Chain:
        """One chain for some generations of all images; see :meth:`chains`.

        Args:
            context: From :meth:`prepare`.
            shape: Shape (G B, C, h, w) of the maps.
            steps: Sampling steps.
            draws: ``start``, and ``step0``, ``step1``, ... for a stochastic sampler.
            device: Where the maps live.
            start: Encoded maps (G B, C, h, w) to start from.
        """

        def predict(z_t: Tensor, t: Tensor) -> tuple[Any, Tensor | None]:
            return self.predict_step(z_t, t, context)

        def encode(output: Any) -> Tensor:
            return self.encode_output(output, tuple(shape[2:]))

        return self.diffusion_sampler.walk(
            predict,
            encode,
            shape=shape,
            steps=steps,
            draws=draws,
            device=device,
            draw_labels=getattr(self.label_encoder, 'reencode', None) == 'draw',
            start=start,
        )

    def encode_start(self, start: Start, size: tuple[int, int]) -> Start:
        """Encode the labels or class probabilities of the images to the size (h, w) of a chain."""
        if not hasattr(getattr(self, 'label_encoder', None), 'encode_probs'):
            raise TypeError(f'{type(self).__name__} has no chain that could start from a given map')
        probs = given_probabilities(start.map, self.num_classes, ignore_index=self.ignore_index)
        start = resize_start(replace(start, map=probs), size)
        return replace(start, map=self.label_encoder.encode_probs(start.map))

    @staticmethod
    def noise_name(meta: dict, size: tuple[int, int], generation: int) -> str:
        """Name of the noise of one image and generation, by the one rule for all methods."""
        return noise_name(sample_key(meta), '{}x{}'.format(*size), generation)

    def batches(
        self,
        inputs: Sequence[Tensor],
        metas: Sequence[dict],
        draws: Draws | None = None,
        start: Start | None = None,
    ) -> Iterator[tuple[list[Tensor], list[dict], Draws | None, Start | None]]:
        """Split a batch so that no chain holds more than ``max_batch`` maps.

        Args:
            inputs: Features (B, ...).
            metas: Meta information of the B images.
            draws: See :meth:`chains`.
            start: See :meth:`chains`.

        Yields:
            The features, meta information, draws and start of some images, for :meth:`chains`.
        """
        b = len(metas)
        at_once = b if self.max_batch is None else min(self.max_batch, b)
        for first in range(0, b, at_once):
            images = range(first, min(first + at_once, b))
            part = draws
            if draws is not None:
                rows = [g * b + i for g in range(self.generations) for i in images]
                part = draws.select(rows, of=self.generations * b)
            cut = slice(images.start, images.stop)
            yield [x[cut] for x in inputs], list(metas[cut]), part, start and start.select(images)

    def summarise(self, chains: Iterable[Chain], images: int) -> Tensor:
        """Average what the chains of some images end in, or with ``accumulation`` every step.

        Args:
            chains: From :meth:`chains`.
            images: Number B of images.

        Returns:
            The output (B, K, h, w); with ``accumulation`` probabilities.
        """
        total, count = 0.0, 0

        def add(values: Tensor) -> None:
            nonlocal total, count
            values = values.unflatten(0, (-1, images))  # (G, B, K, h, w)
            total = total + values.sum(dim=0)
            count += len(values)

        for chain in chains:
            for step in chain:
                if self.accumulation:
                    add(self.probabilities(step.output))
            if not self.accumulation:
                add(step.output)
        return self.limit(total / count)

    def predict(
        self,
        inputs: Sequence[Tensor],
        batch_img_metas: list[dict],
        test_cfg: dict,
        *,
        steps: int | None = None,
        draws: Draws | None = None,
        start: Start | None = None,
    ) -> Tensor:
        """Sample the output (B, K, H, W), resized to the input image.

        Args:
            inputs: Features of the neck or backbone.
            batch_img_metas: Meta information; it names the images.
            test_cfg: Unused, part of mmseg's interface.
            steps: Sampling steps instead of those of the head.
            draws: See :meth:`chains`.
            start: See :meth:`chains`.
        """
        outputs = []
        for batch in self.batches(inputs, batch_img_metas, draws, start):
            output = self.summarise(self.chains(*batch, steps=steps), len(batch[1]))
            # the meta information of all images: mmseg writes a window's size to the first alone
            outputs.append(self.predict_by_feat(output, batch_img_metas))
        return torch.cat(outputs)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Sample the output (B, K, h, w) from features, with the noise of nameless images."""
        metas = [{}] * len(inputs[0])
        return self.summarise(self.chains(inputs, metas), len(metas))
