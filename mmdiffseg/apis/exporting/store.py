"""Storing a graph in one of the formats, and checking that it says what the model says."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.export import Dim

from mmdiffseg.apis.exporting.graphs import Graph
from mmdiffseg.apis.exporting.half import halve_weights
from mmdiffseg.apis.exporting.padding import (
    branchless_padding,
    constant_padding,
    watched_padding,
)
from mmdiffseg.runtime.graphs import GRAPHS, SUFFIXES, need

#: 16 is the first with GridSample; 18 is what torch's exporter writes by itself
OPSET = 18
#: protobuf holds no more than this in one file
LARGEST_FILE = 2**31 - 2**24
#: largest difference to the model, over the largest number there, by how the weights are stored
TOLERANCE = dict(fp32=1e-4, fp16=2e-2)
#: the share of pixels whose class rounding may tip: two are as likely, or a random number lies next
#: to a probability
TIPPED = 0.01


def store(
    graph: Graph,
    *,
    folder: Path,
    name: str,
    format: str,
    weights: str,
    example: Sequence[Tensor],
    other: Sequence[Tensor],
    gridded: bool,
) -> dict:
    """Store a graph, and check it.

    Args:
        graph: The graph.
        folder: Where to.
        name: Name of its file, without the ending.
        format: One of `SUFFIXES`.
        weights: ``fp32`` or ``fp16``.
        example: Its inputs.
        other: Its inputs of another size. A dimension in which the two differ is free.
        gridded: Whether what divides in that other size divides in all sizes to come.

    Returns:
        What a runtime has to know of it: ``file``, ``inputs`` and ``outputs``.

    Raises:
        OverflowError: A weight is too large for fp16.
        RuntimeError: It cannot be stored, or it says something else than the model.
    """
    file = folder / f'{name}{SUFFIXES[format]}'
    shapes = tuple(_free(a.shape, b.shape) for a, b in zip(example, other, strict=True))
    try:
        with _quiet(), torch.no_grad():
            with watched_padding() as divides:
                expected = graph(other)
            padding = constant_padding() if gridded and all(divides) else nullcontext()
            with padding, branchless_padding():
                exported = torch.export.export(
                    graph, (tuple(example),), dynamic_shapes=(shapes,), strict=False
                )
            _WRITERS[format](exported, graph, file, weights == 'fp16')
    except OverflowError:
        raise
    except Exception as error:  # torch raises its errors in many forms
        hint = ': give a fixed size, such as size=(512, 512)' if any(shapes) else ''
        raise RuntimeError(
            f'the {name} cannot be stored as {format}{hint} ({_first_line(error)})'
        ) from error
    entry = dict(file=file.name, inputs=list(graph.inputs), outputs=list(graph.outputs))
    _compare(entry, graph.picked, folder, format, other, expected, TOLERANCE[weights])
    return entry


def _free(shape: Sequence[int], other: Sequence[int]) -> dict:
    return {i: Dim.AUTO for i, (a, b) in enumerate(zip(shape, other, strict=True)) if a != b}


def _write_onnx(
    exported: torch.export.ExportedProgram, graph: Graph, file: Path, half: bool
) -> None:
    program = torch.onnx.export(
        exported,
        input_names=list(graph.inputs),
        output_names=list(graph.outputs),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    _forget_origins(program.model)
    if half:
        halve_weights(program.model)
    size = sum(weight.const_value.nbytes for weight in program.model.graph.initializers.values())
    program.save(file, external_data=size > LARGEST_FILE)


def _forget_origins(model) -> None:
    """Leave out which line of Python a node comes from, and the shapes in between: megabytes."""
    passes = need('onnx_ir.passes.common', extra='onnx')
    passes.ClearMetadataAndDocStringPass()(model)
    for node in model.graph:
        for value in node.outputs:
            if not value.is_graph_output():
                value.shape = value.type = None


def _write_openvino(
    exported: torch.export.ExportedProgram, graph: Graph, file: Path, half: bool
) -> None:
    openvino = need('openvino', extra='openvino')
    onnx = file.with_suffix('.onnx')
    _write_onnx(exported, graph, onnx, half=False)
    try:
        model = openvino.convert_model(onnx)
        openvino.save_model(model, file, compress_to_fp16=half)
    finally:
        onnx.unlink()


def _write_torch(
    exported: torch.export.ExportedProgram, graph: Graph, file: Path, half: bool
) -> None:
    torch.export.save(exported, file)


_WRITERS = dict(zip(SUFFIXES, (_write_onnx, _write_openvino, _write_torch), strict=True))


def _compare(
    entry: dict,
    picked: Sequence[str],
    folder: Path,
    format: str,
    inputs: Sequence[Tensor],
    expected: Sequence[Tensor],
    tolerance: float,
) -> None:
    """Run a stored graph, and refuse it where its outputs are not those of the model."""
    graph = GRAPHS[format](
        folder / entry['file'], inputs=entry['inputs'], outputs=entry['outputs'], threads=None
    )
    arrays = [tensor.numpy() for tensor in inputs]
    advice = 'give a fixed size, such as size=(512, 512), or export it in another format'
    try:
        found = graph(dict(zip(entry['inputs'], arrays, strict=True)))
    except Exception as error:  # each runtime has its own
        raise RuntimeError(
            f'{entry["file"]} does not run at other sizes than the traced one: {advice} '
            f'({_first_line(error)})'
        ) from error
    for (name, array), tensor in zip(found.items(), expected, strict=True):
        wanted = tensor.numpy()
        if array.shape != wanted.shape:
            raise RuntimeError(
                f'{entry["file"]} is wrong: {name} has the shape {array.shape}, where the model '
                f'gives {wanted.shape}; {advice}'
            )
        errors = np.abs(array - wanted) / max(np.abs(wanted).max(), 1e-6)
        error = np.quantile(errors, 1 - TIPPED, method='lower') if name in picked else errors.max()
        if not error <= tolerance:
            raise RuntimeError(
                f'{entry["file"]} is wrong: {name} is off by {error:.1g} of its largest value; '
                f'{advice}'
            )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notes about itself off the screen."""
    logger = logging.getLogger('torch.onnx')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f'{type(error).__name__}: {lines[0].strip()}' if lines else type(error).__name__
