"""What of a model becomes a graph: the encoder of an image, and a step of a chain."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch import Tensor, nn

from mmdiffseg.diffusion.categorical import CategoricalDiffusion
from mmdiffseg.diffusion.draws import Draws, classes_at
from mmdiffseg.engine.model_head import model_head
from mmdiffseg.models.ddp.head import DDPBaseHead
from mmdiffseg.models.diffusion_head import DiffusionHead
from mmdiffseg.models.stochastic.direct import DirectHead, PixelwiseHead


class Graph(nn.Module):
    """A function of named tensors, which a format can store.

    Attributes:
        inputs: Names of the tensors that :meth:`forward` takes.
        outputs: Names of those that it returns.
        picked: Names of those that hold a class a pixel, drawn or the likeliest, a few of which
            rounding tips.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    picked: tuple[str, ...] = ()

    def forward(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """From all inputs to all outputs."""
        raise NotImplementedError


class PlainGraph(Graph):
    """A model that does not diffuse, from normalised images (B, 3, H, W) to logits (B, K, h, w).

    Args:
        model: mmseg's ``EncoderDecoder``.
    """

    inputs = ('image',)
    outputs = ('output',)

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """See :class:`Graph`."""
        (image,) = tensors
        return (self.model.decode_head(self.model.extract_feat(image)),)


class Packing:
    """Takes a head's context apart into its tensors, and puts it together again.

    Args:
        context: What ``prepare`` returns: a tensor, or a tuple with tensors in it.
    """

    def __init__(self, context: Any) -> None:
        self.leaves, self.spec = pytree.tree_flatten(context)
        self.tensors = tuple(leaf for leaf in self.leaves if isinstance(leaf, Tensor))
        self.names = tuple(f'context{i}' for i in range(len(self.tensors)))

    def put(self, tensors: Sequence[Tensor], size: Sequence[int]) -> Any:
        """The context of other tensors; its ``shape``, where it has one, becomes ``size``."""
        rest = iter(tensors)
        leaves = [next(rest) if isinstance(leaf, Tensor) else leaf for leaf in self.leaves]
        context = pytree.tree_unflatten(leaves, self.spec)
        if 'shape' in getattr(context, '_fields', ()):
            context = context._replace(shape=tuple(size))
        return context


class EncoderGraph(Graph):
    """What is computed once per image: from normalised images (1, 3, H, W) to the context.

    Args:
        model: A model around a :class:`DiffusionHead`.
        image: An example.
    """

    inputs = ('image',)

    def __init__(self, model: nn.Module, image: Tensor) -> None:
        super().__init__()
        self.model = model
        self.outputs = Packing(self.encode(image)[0]).names

    def encode(self, image: Tensor) -> tuple[Any, tuple[int, int, int]]:
        """The context of an image, and the shape (C, h, w) of its map."""
        head, metas = model_head(self.model), [{}] * len(image)
        feature = head._transform_inputs(self.model.extract_feat(image))
        return head.prepare(feature, metas), tuple(head.map_shape(feature, metas))

    def forward(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """See :class:`Graph`."""
        return Packing(self.encode(*tensors)[0]).tensors


class StepGraph(Graph):
    """One call of the denoiser, and what a sampler needs of it.

    From z_t (rows, C, h, w), t (1,) and the context to the ``output`` (rows, K, h, w); its
    ``probability`` of every class, where it has one; the ``variance`` that a network may learn; and
    ``x0``, the estimate of the clean map. Categorical diffusion takes the numbers of the ``jump``
    as well, and gives in place of ``x0`` the ``posterior`` of all states at the end of the jump.
    With the common coupling it also takes ``clean`` (rows, 1, 1): the numbers in [0, 1) by which
    the maps draw their clean classes, or -1 for a map that draws none.

    Args:
        head: The head.
        packing: How its context is packed.
        z_t: An example.
        t: An example.
        classes: Whether its outputs stand for class probabilities; depths do not.
    """

    def __init__(
        self, head: DiffusionHead, packing: Packing, z_t: Tensor, t: Tensor, *, classes: bool
    ) -> None:
        super().__init__()
        self.head = head
        self.packing = packing
        self.classes = classes
        self.categorical = isinstance(head.noise_schedule, CategoricalDiffusion)
        self.common = getattr(head.diffusion_sampler, 'coupling', None) == 'common'
        state = dict(z_t=z_t, t=t)
        if self.categorical:
            state['jump'] = head.noise_schedule.jump(t, t - 1).float()
        if self.common:
            # the first map draws nothing
            state['clean'] = torch.linspace(-1, 0.9, len(z_t))[:, None, None]
            self.picked = ('posterior',)
        elif (
            isinstance(head, DDPBaseHead)
            and getattr(head.label_encoder, 'reencode', None) == 'argmax'
        ):
            self.picked = ('x0',)
        self.inputs = (*state, *packing.names)
        self.example = (*state.values(), *packing.tensors)
        self.outputs = tuple(self.named(self.example))

    def named(self, tensors: Sequence[Tensor]) -> dict[str, Tensor]:
        """The outputs by name."""
        z_t, t, *rest = tensors
        jump = rest.pop(0) if self.categorical else None
        clean = rest.pop(0) if self.common else None
        size = z_t.shape[2:]
        output, variance = self.head.predict_step(z_t, t, self.packing.put(rest, size))
        x0 = self.head.encode_output(output, tuple(size))
        named = dict(output=output)
        if self.categorical:
            schedule = self.head.noise_schedule
            if clean is not None:
                classes = schedule.one_hot(classes_at(clean, schedule.all_states(x0)))
                x0 = torch.where(clean[:, None] < 0, x0, classes[:, : x0.shape[1]])
            named['posterior'] = schedule.all_states(schedule.reverse(z_t, x0, jump))
        else:
            named['x0'] = x0
        if self.classes:
            named['probability'] = self.head.probabilities(output)
        if variance is not None:
            named['variance'] = variance
        return named

    def forward(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """See :class:`Graph`."""
        return tuple(self.named(tensors).values())


class DrawGraph(Graph):
    """A sample of a head without a chain, from its random numbers and the context.

    Args:
        head: The head.
        packing: How its context is packed.
        draws: Examples of what it draws, by name, rows first.
    """

    outputs = ('probability',)

    def __init__(self, head: DirectHead, packing: Packing, draws: dict[str, Tensor]) -> None:
        super().__init__()
        self.head = head
        self.packing = packing
        self.names = tuple(draws)
        self.inputs = (*(f'draw{i}' for i in range(len(draws))), *packing.names)
        self.example = (*draws.values(), *packing.tensors)
        if isinstance(head, PixelwiseHead) and draws:
            self.picked = self.outputs

    def forward(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """See :class:`Graph`."""
        count = len(self.names)
        draws = dict(zip(self.names, tensors[:count], strict=True))
        context = self.packing.put(tensors[count:], ())
        return (self.head.draw(context, tensors[0].shape[0], Draws(draws)),)
