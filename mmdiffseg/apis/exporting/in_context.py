"""Ref LDM-Seg: graphs of the examples, the picture, a call of the U-Net, and the decoder."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from mmdiffseg.apis.exporting.graphs import Graph
from mmdiffseg.apis.exporting.headed import Size, Store
from mmdiffseg.apis.exporting.loop import step_counts
from mmdiffseg.apis.exporting.sizes import ROWS
from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.models.in_context import InContextSegmentor, RefLDMSegMultiStep
from mmdiffseg.models.in_context.prompt_encoder import EncodedPrompts
from mmdiffseg.models.in_context.step_noise import StepNoise
from mmdiffseg.models.latent.autoencoder import decode_latent, encode_image


class PromptGraph(Graph):
    """From an example (1, 3, S, S) and its foreground (1, S, S) to tokens and their mask (1, N)."""

    inputs = ('prompt', 'prompt_mask')
    outputs = ('tokens', 'token_mask')

    def __init__(self, model: InContextSegmentor) -> None:
        super().__init__()
        self.encoder = model.prompt_encoder

    def forward(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """See :class:`Graph`."""
        return tuple(self.encoder.encode(*(tensor[None] for tensor in tensors)))


class QueryGraph(Graph):
    """From a picture (1, 3, S, S) to its latent (1, C, h, w): the mean, and the deviation if drawn.

    Args:
        model: The model.
        drawn: Whether a latent is drawn instead of the most likely one.
        scale: What the latents are multiplied by.
    """

    inputs = ('image',)

    def __init__(self, model: InContextSegmentor, *, drawn: bool, scale: float) -> None:
        super().__init__()
        self.vae, self.scale = model.vae, scale
        self.outputs = ('mean', 'deviation') if drawn else ('mean',)

    def forward(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """See :class:`Graph`."""
        (image,) = tensors
        mean = encode_image(self.vae, image)
        latents = [mean]
        if len(self.outputs) == 2:
            latents.append(encode_image(self.vae, image, torch.ones_like(mean)) - mean)
        return tuple(latent * self.scale for latent in latents)


class DenoiseGraph(Graph):
    """A call of the U-Net, guided if the model is: from ``z_t`` (1, C, h, w) to the ``output``.

    Args:
        model: The model.
    """

    inputs = ('z_t', 't', 'mean', 'tokens', 'token_mask')
    outputs = ('output',)

    def __init__(self, model: InContextSegmentor) -> None:
        super().__init__()
        self.model = model

    def forward(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """See :class:`Graph`."""
        z_t, t, mean, *prompts = tensors
        prompts = EncodedPrompts(*prompts)
        if not isinstance(self.model, RefLDMSegMultiStep):
            return (self.model.denoise(z_t, t, prompts),)
        return (self.model.guided_output(z_t, t, *self.model.branches(mean, prompts)),)


class DecoderGraph(Graph):
    """From a latent (1, C, h, w) and the picture to logits (1, 2, S, S).

    Args:
        model: The model.
    """

    inputs = ('latent', 'image')
    outputs = ('logits',)

    def __init__(self, model: InContextSegmentor) -> None:
        super().__init__()
        self.vae, self.pseudo_mask = model.vae, model.pseudo_mask

    def forward(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """See :class:`Graph`."""
        latent, image = tensors
        picture = decode_latent(self.vae, latent / self.vae.config.scaling_factor)
        return (self.pseudo_mask.decode_logits(picture, image),)


class InContextPlan:
    """How Ref LDM-Seg is exported; see :class:`HeadedPlan`.

    Args:
        model: The model.

    Raises:
        ValueError: It draws the time of its only step.
    """

    def __init__(self, model: InContextSegmentor) -> None:
        self.model = model
        self.walks = isinstance(model, RefLDMSegMultiStep)
        if not self.walks and model.noise_t:
            raise ValueError(
                f'a model with noise_t={model.noise_t} cannot be exported: its runtime would have '
                'to draw times; leave noise_t out'
            )
        side = model.data_preprocessor.size
        self.told = dict(
            readout=dict(kind='classes', averaged='output', uncertainty=None),
            pictures=dict(
                channels='RGB',
                mean=[127.5] * 3,
                std=[127.5] * 3,
                pad_value=0,
                pad_divisor=None,
                pad_size=[side, side],
                resize=dict(scale=[side, side], scale_factor=None, keep_ratio=True, backend='cv2'),
            ),
            windows=None,
            defaults=dict(seed=model.seed, **(dict(steps=model.steps) if self.walks else {})),
            align_corners=model.align_corners,
        )
        self.size = (side, side)

    def sizes(self, size: Size | None) -> tuple[list[Size], bool]:
        """See :meth:`HeadedPlan.sizes`.

        Raises:
            ValueError: A size is asked for.
        """
        if size is not None:
            raise ValueError(
                f'{type(self.model).__name__} takes pictures of any size and makes squares of '
                f'{self.size[0]} pixels of them: leave size out'
            )
        return [self.size, self.size], True

    def write(self, store: Store, sizes: list[Size]) -> dict:
        """See :meth:`HeadedPlan.write`."""
        model, generator = self.model, torch.Generator().manual_seed(0)

        def noise(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator)

        image = noise(1, 3, *self.size).clamp(-1, 1)
        shown = (noise(1, 3, *self.size).clamp(-1, 1), (noise(1, *self.size) > 0).float())
        prompt = PromptGraph(model)
        # the number of examples is free
        prompts = [[torch.cat([part] * count, dim=1) for part in prompt(shown)] for count in ROWS]
        drawn = not self.walks and model.latent_eval == 'sample'
        scale = 1.0 if self.walks else model.vae.config.scaling_factor
        query = QueryGraph(model, drawn=drawn, scale=scale)
        mean, *_ = query((image,))
        z_t, t = noise(*mean.shape), self._times(1)[:1]
        steps = [(z_t, t, mean, *each) for each in prompts]
        graphs = dict(
            prompt=store(prompt, name='prompt', example=shown, other=shown),
            encoder=store(query, name='encoder', example=(image,), other=(image,)),
            step=store(DenoiseGraph(model), name='step', example=steps[0], other=steps[1]),
            decoder=store(
                DecoderGraph(model), name='decoder', example=(z_t, image), other=(z_t, image)
            ),
        )
        return dict(
            kind='in_context',
            graphs=graphs,
            starts='noise' if self.walks else 'query',
            integer_times=not t.is_floating_point(),
        )

    def _times(self, steps: int) -> Tensor:
        if not self.walks:
            return torch.zeros(1, dtype=torch.long)
        self.model.sampler.set_timesteps(steps)
        return self.model.sampler.timesteps

    def chains(self, steps: Iterable[int] | None) -> dict[str, list[dict]]:
        """See :meth:`HeadedPlan.chains`."""
        if not self.walks:
            # the output of the only call is the latent
            return {'1': [dict(t=0, z=[1.0], noise=False), dict(z=[0.0, 1.0])]}
        sampler = self.model.sampler
        longest = sampler.config.num_train_timesteps
        counts = step_counts(steps, own=self.model.steps, longest=longest)
        return {str(count): scheduler_rows(sampler, count) for count in counts}


class _Watched(Draws):
    """Recorded draws that know whether one was asked for."""

    asked = False

    def normal(self, *args, **options):
        self.asked = True
        return super().normal(*args, **options)


def scheduler_rows(scheduler, steps: int) -> list[dict]:
    """The times and numbers of a chain of a scheduler of diffusers.

    Every map of a chain is a sum of what there was before it: the noise that it starts from, and of
    each step the output of the network and the noise that is added. Those numbers are found by
    giving the scheduler maps of ones and zeros.

    Args:
        scheduler: The scheduler.
        steps: Steps of the chain.

    Returns:
        For each call of the network its time ``t``, the weights ``z`` of its input, and whether
        ``noise`` is drawn afterwards; at the end the weights ``z`` of the clean map.

    Raises:
        ValueError: The scheduler does something else.
    """
    scheduler.set_timesteps(steps)
    times = scheduler.timesteps
    parts = 1 + 2 * len(times)
    basis = torch.eye(parts, dtype=torch.float64)
    mixture = torch.linspace(-1, 1, parts, dtype=torch.float64)
    # what there is, each a map of parts + 1 pixels (1, parts + 1, 1, 1)
    columns = torch.cat([basis, mixture[None]]).T[:, None, :, None, None]

    def weights(z: Tensor, count: int) -> list[float]:
        *found, mixed = z.flatten().double().tolist()
        if abs(sum(w * m for w, m in zip(found, mixture.tolist(), strict=True)) - mixed) > 1e-4:
            raise ValueError(
                f'a step of {type(scheduler).__name__} is not a weighted sum of maps, so a runtime '
                'cannot follow it: sample with another one, such as DDIMScheduler'
            )
        return found[:count]

    z = columns[0] * scheduler.init_noise_sigma
    rows = []
    for index, t in enumerate(times):
        row = dict(t=t.item(), z=weights(scheduler.scale_model_input(z, t), 1 + 2 * index))
        draws = _Watched({'noise': columns[2 + 2 * index]})
        with StepNoise(draws, 'noise'):
            z = scheduler.step(columns[1 + 2 * index], t, z).prev_sample
        rows.append(dict(row, noise=draws.asked))
    return [*rows, dict(z=weights(z, parts))]
