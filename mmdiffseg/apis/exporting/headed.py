"""Models around one head: an encoder and a step, or a single graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmdiffseg.apis.exporting.describe import (
    describe_defaults,
    describe_pictures,
    describe_readout,
    describe_windows,
)
from mmdiffseg.apis.exporting.graphs import (
    DrawGraph,
    EncoderGraph,
    Packing,
    PlainGraph,
    StepGraph,
)
from mmdiffseg.apis.exporting.loop import chain_rows, step_counts
from mmdiffseg.apis.exporting.mask_sets import mask_set_graph
from mmdiffseg.apis.exporting.sizes import ROWS, find_sizes, shape_rule, window_extent
from mmdiffseg.diffusion.categorical import CategoricalDiffusion
from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.engine.model_head import model_head
from mmdiffseg.models.dformer import DFormerHead
from mmdiffseg.models.diffusion_head import DiffusionHead
from mmdiffseg.models.stochastic.direct import DirectHead

Size = tuple[int, int]
#: stores a graph, see `mmdiffseg.apis.exporting.store.store`, and says what there is to know of it
Store = Callable[..., dict]


class HeadedPlan:
    """How a model around one head is exported.

    Args:
        model: A model of mmseg or mmdet.
        config: Its config.

    Attributes:
        told: What a runtime has to know beside the graphs and the chains.

    Raises:
        TypeError: The model is of a kind that cannot be exported.
        ValueError: Its test pipeline or its label encoder do what a runtime cannot repeat.
    """

    def __init__(self, model: nn.Module, config: Config) -> None:
        self.model = model
        self.told = dict(
            readout=describe_readout(model),
            pictures=describe_pictures(model, config),
            windows=describe_windows(model),
            defaults=describe_defaults(model_head(model)),
            align_corners=getattr(model, 'align_corners', False),
        )
        self.head = model_head(model)

    def sizes(self, size: Size | None) -> tuple[list[Size], bool]:
        """Two sizes that graphs are made with, see :func:`find_sizes`; ``size`` is the only one."""
        return find_sizes(size, self._divisor(), above=window_extent(self.model))

    def _divisor(self) -> int | None:
        """What the sizes of all images that a graph is given are multiples of."""
        pictures, windows = self.told['pictures'], self.told['windows']
        if not pictures['pad_divisor']:
            return None
        return math.gcd(pictures['pad_divisor'], *(windows['size'] if windows else ()))

    def write(self, store: Store, sizes: list[Size]) -> dict:
        """Write the graphs, and say how they belong together."""
        # not zeros: what is compared must not be trivial
        generator = torch.Generator().manual_seed(0)
        images = [torch.randn(1, 3, *each, generator=generator) for each in sizes]

        given, other = ((image,) for image in images)
        head = self.head
        if not isinstance(head, DiffusionHead):
            entry = store(PlainGraph(self.model), name='model', example=given, other=other)
            return dict(kind='plain', graphs=dict(model=entry))
        encoder = EncoderGraph(self.model, images[0])
        encoded = [encoder.encode(image) for image in images]
        graphs = dict(encoder=store(encoder, name='encoder', example=given, other=other))
        shapes = [shape for _, shape in encoded]
        described = dict(graphs=graphs, map=shape_rule(shapes, sizes))
        make = next(make for kind, make in _STEPS.items() if isinstance(head, kind))
        steps, more = zip(
            *(
                make(head, context, shape, rows, generator, self.told['readout'])
                for (context, shape), rows in zip(encoded, ROWS, strict=True)
            ),
            strict=True,
        )
        step, at_other = steps
        graphs['step'] = store(step, name='step', example=step.example, other=at_other.example)
        described.update(more[0])
        if isinstance(head, DirectHead):
            described['draws'] = [
                dict(first, shape=shape_rule([first['shape'], second['shape']], sizes))
                for first, second in zip(more[0]['draws'], more[1]['draws'], strict=True)
            ]
        return described

    def chains(self, steps: Iterable[int] | None) -> dict[str, list[dict]]:
        """The times and numbers of the chains that can be asked for, by their steps."""
        head = self.head
        if not isinstance(head, DiffusionHead):
            return {}
        if isinstance(head, DirectHead):
            return {'1': [{}]}
        longest = getattr(head.noise_schedule, 'num_timesteps', None)
        counts = step_counts(steps, own=head.steps, longest=longest)
        return {str(count): chain_rows(head.diffusion_sampler, count) for count in counts}


def _step_graph(
    head: DiffusionHead,
    context: Any,
    shape: tuple[int, int, int],
    rows: int,
    generator: torch.Generator,
    readout: dict,
) -> tuple[StepGraph, dict]:
    """The graph of a step, and how a runtime goes on from it."""
    sampler, schedule = head.diffusion_sampler, head.noise_schedule
    pairs = sampler.time_pairs(head.steps)
    # Of codes where they are nearly clean: at the noisiest time an estimate may be a hundred times
    # what the network says, and rounding with it. Of classes where they are noise, as the example:
    # nearly clean maps without any shape are strange to a trained network.
    t = torch.tensor([pairs[0 if isinstance(schedule, CategoricalDiffusion) else -1][0]])
    noise = schedule.draw_noise(Draws(generator=generator), 'start', (rows, *shape), None)
    z_t = sampler.start(noise)
    graph = StepGraph(head, Packing(context), z_t, t, classes=readout['kind'] != 'depth')
    if not isinstance(schedule, CategoricalDiffusion):
        times = not t.is_floating_point()
        return graph, dict(kind='gaussian', integer_times=times, stochastic=sampler.stochastic)
    kind = dict(kind='categorical', states=schedule.num_states, prior=schedule.prior().tolist())
    drawn = dict(coupling=sampler.coupling, persistence=sampler.persistence)
    return graph, dict(kind, state=sampler.state, final=sampler.final, **drawn)


class _Recorder(Draws):
    """Keeps what it draws, and of what kind it is."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__(generator=generator)
        self.drawn: dict[str, Tensor] = {}
        self.kinds: dict[str, str] = {}

    def _keep(self, kind: str, name: str, value: Tensor) -> Tensor:
        self.drawn[name], self.kinds[name] = value, kind
        return value

    def normal(self, name, *args, **options):
        return self._keep('normal', name, super().normal(name, *args, **options))

    def uniform(self, name, *args, **options):
        return self._keep('uniform', name, super().uniform(name, *args, **options))

    def gumbel(self, name, *args, **options):
        return self._keep('gumbel', name, super().gumbel(name, *args, **options))


def _draw_graph(
    head: DirectHead,
    context: Any,
    shape: tuple[int, int, int],
    rows: int,
    generator: torch.Generator,
    readout: dict,
) -> tuple[DrawGraph, dict]:
    """The graph of a sample, and what it draws."""
    recorder = _Recorder(generator)
    head.draw(context, rows, recorder)
    graph = DrawGraph(head, Packing(context), recorder.drawn)
    draws = [
        dict(name=name, kind=recorder.kinds[name], shape=tuple(value.shape[1:]))
        for name, value in recorder.drawn.items()
    ]
    return graph, dict(kind='draw', draws=draws)


#: what makes the graph of a step, by the kind of head; the first that fits
_STEPS = {DirectHead: _draw_graph, DFormerHead: mask_set_graph, DiffusionHead: _step_graph}
