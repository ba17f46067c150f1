"""Export a model, so that it runs without torch: graphs, and the loop that calls them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mmdiffseg.apis.exporting.int8 import check_int8, quantise_graphs
from mmdiffseg.apis.exporting.plans import plan_of
from mmdiffseg.apis.exporting.store import store
from mmdiffseg.models.layers.deform_attn import deform_attn_impl
from mmdiffseg.output_dir import claim_output_dir, finish_output_dir
from mmdiffseg.runtime.folder import write_loop
from mmdiffseg.runtime.graphs import SUFFIXES
from mmdiffseg.version import __version__


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
    plan = plan_of(model, segmenter.config)
    sizes, gridded = plan.sizes(size)
    if precision == 'int8':
        check_int8(model)
    loop = dict(
        mmdiffseg=__version__,
        format=format,
        precision=precision,
        weights=weights,
        size=list(size) if size else None,
        **plan.told,
        meta=_kept_meta(segmenter.meta, exact=(precision, weights) == ('fp32', 'fp32')),
    )
    folder = claim_output_dir(folder, overwrite=overwrite)
    training = model.training
    model.eval()
    try:
        with deform_attn_impl(deform_attn):
            options = dict(format=format, weights=weights, gridded=gridded)
            write = partial(store, folder=folder, **options)
            loop.update(plan.write(write, sizes))
        if precision == 'int8':
            quantise_graphs(segmenter, folder, loop['graphs'], calibration)
    finally:
        model.train(training)
    loop['chains'] = plan.chains(steps)
    write_loop(folder, loop)
    finish_output_dir(folder)
    return folder


def _kept_meta(meta: dict, *, exact: bool) -> dict:
    """What is known of a model; a guarantee holds for the weights it was calibrated with."""
    return {name: value for name, value in meta.items() if exact or name != 'guarantee'}
