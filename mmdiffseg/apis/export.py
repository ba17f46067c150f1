"""Export a model, so that it runs without torch: graphs, and the loop that calls them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
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
    Graph,
    Packing,
    PlainGraph,
    StepGraph,
)
from mmdiffseg.apis.exporting.int8 import quantise_graphs
from mmdiffseg.apis.exporting.loop import chain_rows
from mmdiffseg.apis.exporting.mask_sets import mask_set_graph
from mmdiffseg.apis.exporting.sizes import ROWS, find_sizes, shape_rule
from mmdiffseg.apis.exporting.store import store
from mmdiffseg.diffusion.categorical import CategoricalDiffusion
from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.engine.model_head import model_head
from mmdiffseg.models.dformer import DFormerHead
from mmdiffseg.models.diffusion_head import DiffusionHead
from mmdiffseg.models.layers.deform_attn import deform_attn_impl
from mmdiffseg.models.stochastic.direct import DirectHead
from mmdiffseg.output_dir import claim_output_dir, finish_output_dir
from mmdiffseg.runtime.folder import write_loop
from mmdiffseg.runtime.graphs import SUFFIXES
from mmdiffseg.version import __version__

#: step counts that a runtime can be asked for, besides the model's own
STEPS = (*range(1, 11), 25)


@torch.no_grad()
def export(
    segmenter: Any,
    folder: str | Path,
    *,
    format: str = 'onnx',
    size: tuple[int, int] | None = None,
    steps: Iterable[int] | None = None,
    deform_attn: str = 'grid_sample',
    precision: str = 'fp32',
    weights: str = 'fp32',
    calibration: Any = None,
    overwrite: bool = False,
) -> Path:
    """Write a model as graphs and a loop, for :func:`mmdiffseg.runtime.load`.

    The graphs are `encoder` (once per image) and `step` (once per denoiser call); a model that does
    not diffuse has `model` alone. They hold standard operators. `loop.json` holds all else. Each
    graph is run and compared with the model before this returns.

    Args:
        segmenter: A :class:`Segmenter`, or what has its ``model``, ``config`` and ``meta``.
        folder: Where to.
        format: ``onnx``, ``openvino`` or ``torch`` (``torch.export``).
        size: Fixed size (H, W) of the padded pictures; None leaves it free. A smaller picture is
            padded to a fixed size, which may change the prediction at its border.
        steps: Step counts that can be asked for, besides the model's own; by default 1 to 10 and
            25, as far as the schedule has them.
        deform_attn: How deformable attention is written: ``grid_sample`` or ``gather``.
        precision: ``fp32``, or ``int8`` for ``onnx``, whose activations are scaled by the pictures
            of ``calibration``. The first and the last convolution of a graph stay in fp32.
        weights: ``fp32``, or ``fp16`` for files of half the size. The graphs compute in fp32 in
            either case. A guarantee is left out: it was calibrated with other weights.
        calibration: For int8, a few pictures like those to come: all that a :class:`Segmenter`
            takes.
        overwrite: Write into a folder that holds other files.

    Returns:
        The folder.

    Raises:
        FileExistsError: The folder is not empty.
        OverflowError: A weight is too large for fp16.
        RuntimeError: A graph cannot be stored, or says something else than the model.
        TypeError: The model is of a kind that cannot be exported.
        ValueError: ``format`` is unknown, or the test pipeline cannot be repeated.

    Example:
        >>> segmenter = mmdiffseg.load('nuclei')
        >>> export(segmenter, 'nuclei_onnx')
        >>> from mmdiffseg import runtime
        >>> runtime.load('nuclei_onnx')('cells.png').labels.shape
        (512, 512)
    """
    if format not in SUFFIXES:
        raise ValueError(f'format must be one of {list(SUFFIXES)}, got {format!r}')
    if precision not in ('fp32', 'int8'):
        raise ValueError(f"precision must be 'fp32' or 'int8', got {precision!r}")
    if precision == 'int8' and (format != 'onnx' or calibration is None):
        raise ValueError(
            "int8 needs format='onnx' and pictures to scale the activations by: give a few like "
            'those to come as calibration=FOLDER'
        )
    if size is not None and not (len(size) == 2 and all(type(n) is int and n > 0 for n in size)):
        raise ValueError(f'size must be (height, width) of at least 1 pixel, got {size}')
    if weights not in ('fp32', 'fp16'):
        raise ValueError(f"weights must be 'fp32' or 'fp16', got {weights!r}")
    if weights == 'fp16' and (format == 'torch' or precision == 'int8'):
        raise ValueError(
            "weights='fp16' is for graphs in onnx or openvino that compute in fp32: leave it out "
            f'with format={format!r}, precision={precision!r}'
        )
    model = segmenter.model
    if next(model.parameters()).device.type != 'cpu':
        raise ValueError("a model is exported from the CPU: load it with device='cpu'")
    readout, head = describe_readout(model), model_head(model)
    loop = dict(
        mmdiffseg=__version__,
        format=format,
        precision=precision,
        weights=weights,
        size=list(size) if size else None,
        pictures=describe_pictures(model, segmenter.config),
        windows=describe_windows(model),
        readout=readout,
        defaults=describe_defaults(head),
        align_corners=getattr(model, 'align_corners', False),
        meta=_kept_meta(segmenter.meta, exact=(precision, weights) == ('fp32', 'fp32')),
    )
    folder = claim_output_dir(folder, overwrite=overwrite)
    training = model.training
    model.eval()
    try:
        with deform_attn_impl(deform_attn):
            divisor = _divisor(loop['pictures'], loop['windows'])
            sizes, gridded = find_sizes(size, divisor)
            options = dict(format=format, weights=weights, gridded=gridded)
            write = partial(store, folder=folder, **options)
            loop.update(_write_graphs(model, write, sizes, readout))
        if precision == 'int8':
            quantise_graphs(segmenter, folder, loop['graphs'], calibration)
    finally:
        model.train(training)
    if 'step' in loop['graphs']:
        loop['chains'] = _chains(head, steps)
    write_loop(folder, loop)
    finish_output_dir(folder)
    return folder


def _kept_meta(meta: dict, *, exact: bool) -> dict:
    """What is known of a model; a guarantee holds for the weights it was calibrated with."""
    return {name: value for name, value in meta.items() if exact or name != 'guarantee'}


def _chains(head: DiffusionHead, steps: Iterable[int] | None) -> dict[str, list[dict]]:
    """The times and numbers of the chains that can be asked for, by their steps."""
    if isinstance(head, DirectHead):
        return {'1': [{}]}
    if steps is None:
        longest = getattr(head.noise_schedule, 'num_timesteps', max(STEPS))
        steps = [count for count in STEPS if count <= longest]
    counts = sorted({*steps, head.steps})
    return {str(count): chain_rows(head.diffusion_sampler, count) for count in counts}


def _divisor(pictures: dict, windows: dict | None) -> int | None:
    """What the sizes of all images that a graph is given are multiples of."""
    if not pictures['pad_divisor']:
        return None
    return math.gcd(pictures['pad_divisor'], *(windows['size'] if windows else ()))


def _write_graphs(
    model: nn.Module, store: Callable[..., dict], sizes: list[tuple[int, int]], readout: dict
) -> dict:
    """Write the graphs of a model, and say how they belong together."""
    # not zeros: what is compared must not be trivial
    generator = torch.Generator().manual_seed(0)
    images = [torch.randn(1, 3, *each, generator=generator) for each in sizes]

    def write(name: str, graphs: list[Graph], examples: list[tuple[Tensor, ...]]) -> dict:
        return store(graphs[0], name=name, example=examples[0], other=examples[1])

    head = model_head(model)
    if not isinstance(head, DiffusionHead):
        entry = write('model', [PlainGraph(model)], [(image,) for image in images])
        return dict(kind='plain', graphs=dict(model=entry))
    encoder = EncoderGraph(model, images[0])
    encoded = [encoder.encode(image) for image in images]
    graphs = dict(encoder=write('encoder', [encoder], [(image,) for image in images]))
    shapes = [shape for _, shape in encoded]
    described = dict(graphs=graphs, map=shape_rule(shapes, sizes))
    make = next(make for kind, make in _STEPS.items() if isinstance(head, kind))
    steps, more = zip(
        *(
            make(head, context, shape, rows, generator, readout)
            for (context, shape), rows in zip(encoded, ROWS, strict=True)
        ),
        strict=True,
    )
    graphs['step'] = write('step', list(steps), [step.example for step in steps])
    described.update(more[0])
    if isinstance(head, DirectHead):
        described['draws'] = [
            dict(first, shape=shape_rule([first['shape'], second['shape']], sizes))
            for first, second in zip(more[0]['draws'], more[1]['draws'], strict=True)
        ]
    return described


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
    # where it is nearly clean: at the noisiest time an estimate may be a hundred times what the
    # network says, and rounding with it
    t = torch.tensor([sampler.time_pairs(head.steps)[-1][0]])
    noise = schedule.draw_noise(Draws(generator=generator), 'start', (rows, *shape), None)
    z_t = sampler.start(noise)
    graph = StepGraph(head, Packing(context), z_t, t, classes=readout['kind'] != 'depth')
    if not isinstance(schedule, CategoricalDiffusion):
        times = not t.is_floating_point()
        return graph, dict(kind='gaussian', integer_times=times, stochastic=sampler.stochastic)
    kind = dict(kind='categorical', states=schedule.num_states, prior=schedule.prior().tolist())
    return graph, dict(kind, state=sampler.state, final=sampler.final, coupling=sampler.coupling)


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
