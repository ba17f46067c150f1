"""Eight bits for the weights and activations of stored graphs, by onnxruntime."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from torch import Tensor, nn

from mmdiffseg.apis.exporting.graphs import EncoderGraph, Packing
from mmdiffseg.apis.exporting.loop import chain_rows
from mmdiffseg.apis.pictures import find_sources
from mmdiffseg.engine.model_head import model_head
from mmdiffseg.models.dformer import DFormerHead
from mmdiffseg.models.diffusion_head import DiffusionHead
from mmdiffseg.models.in_context import InContextSegmentor
from mmdiffseg.models.stochastic.direct import DirectHead
from mmdiffseg.runtime.graphs import need

#: pictures and steps of each that are looked at
PICTURES, STEPS = 8, 4


def check_int8(model: nn.Module) -> None:
    """Refuse a model whose graphs are not known to bear it.

    Raises:
        ValueError: It is of such a kind.
    """
    part = model_head(model) or model
    if isinstance(part, (DirectHead, DFormerHead, InContextSegmentor)):
        raise ValueError(
            f'{type(part).__name__} has no int8, which would change its answers: choose '
            "precision='fp32'"
        )


def quantise_graphs(segmenter: Any, folder: Path, graphs: dict, pictures: Any) -> None:
    """Turn the graphs of an exported model into int8, in place.

    Args:
        segmenter: The :class:`Segmenter` that was exported.
        folder: Where it is.
        graphs: What its loop says of the graphs.
        pictures: What the activations are scaled by.
    """
    examples: dict[str, list] = {name: [] for name in graphs}
    for source in islice(find_sources(pictures), PICTURES):
        item = segmenter.task.prepare(source.read())
        data = segmenter.model.data_preprocessor(pseudo_collate([item]), False)
        for name, tensors in _seen(segmenter.model, data['inputs'], source.name):
            examples[name].append(tensors)
    for name, entry in graphs.items():
        quantise(folder / entry['file'], entry['inputs'], examples[name])


def _seen(model: nn.Module, image: Tensor, name: str) -> Iterator[tuple[str, tuple[Tensor, ...]]]:
    """What the graphs of a model are given for an image (1, 3, H, W), by their names."""
    head = model.decode_head
    if not isinstance(head, DiffusionHead):
        yield 'model', (image,)
        return
    yield 'encoder', (image,)
    features = model.extract_feat(image)
    packing = Packing(EncoderGraph(model, image).encode(image)[0])
    rows = chain_rows(head.diffusion_sampler, head.steps)
    every = max(head.steps // STEPS, 1)
    for step in next(head.chains(features, [dict(img_path=name)])):
        if step.index % every == 0:
            row = rows[step.index]
            jump = [torch.tensor(row['jump']).view(-1, 1, 1, 1, 1)] if 'jump' in row else []
            yield 'step', (step.z_t, torch.tensor([step.t]), *jump, *packing.tensors)


def quantise(file: Path, inputs: Sequence[str], examples: Sequence[Sequence[Tensor]]) -> None:
    """Turn the convolutions and matrix products of an ONNX file into int8, in place.

    Activations are scaled by what they are on examples; weights channel by channel. The first and
    the last convolution stay as they are.

    Args:
        file: The graph.
        inputs: Names of its inputs.
        examples: What it is calibrated on, inputs in this order.
    """
    quantization = need('onnxruntime.quantization', extra='onnx')
    prepared = file.with_suffix('.prepared.onnx')
    quantization.quant_pre_process(file, prepared, skip_symbolic_shape=True)
    try:
        quantization.quantize_static(
            prepared,
            file,
            _reader(quantization, prepared, inputs, examples),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=['Conv', 'MatMul', 'Gemm'],
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
            activation_type=quantization.QuantType.QUInt8,
            nodes_to_exclude=_ends(prepared),
        )
    finally:
        prepared.unlink()


def _ends(file: Path) -> list[str]:
    """The convolution that takes the noise in, and the one that gives the answer."""
    onnx = need('onnx', extra='onnx')
    nodes = onnx.load(file, load_external_data=False).graph.node
    names = [node.name for node in nodes if node.op_type == 'Conv']
    return [*names[:1], *names[-1:]]


def _reader(quantization, file: Path, inputs: Sequence[str], examples: Sequence[Sequence[Tensor]]):
    onnx = need('onnx', extra='onnx')
    used = {entry.name for entry in onnx.load(file, load_external_data=False).graph.input}

    class Reader(quantization.CalibrationDataReader):
        """Gives one example after the other."""

        def __init__(self) -> None:
            self.rows: Iterator[dict[str, np.ndarray]] = (
                {
                    name: tensor.numpy()
                    for name, tensor in zip(inputs, example, strict=True)
                    if name in used
                }
                for example in examples
            )

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.rows, None)

    return Reader()
