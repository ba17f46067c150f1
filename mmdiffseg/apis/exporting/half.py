"""Weights in sixteen bits, for graphs that compute in thirty-two."""

from typing import Any

import numpy as np

from mmdiffseg.runtime.graphs import need

#: fewer numbers than this stay as they are: constants, norms, biases, tables of times
SMALLEST = 2048


def halve_weights(model: Any) -> None:
    """Store the weights of an ONNX model as float16, in place; it computes in float32 as before.

    A ``Cast`` follows each stored weight, which onnxruntime computes once, where it loads the
    graph. (``onnxruntime.transformers.float16`` can write the same, but it rounds every
    constant of a graph and cuts large weights off.)

    Args:
        model: The model, of ``onnx_ir``.

    Raises:
        OverflowError: A weight is too large for float16.
    """
    onnx_ir = need('onnx_ir', extra='onnx')  # comes with onnxscript

    graph = model.graph
    for name, weight in list(graph.initializers.items()):
        if weight.dtype != onnx_ir.DataType.FLOAT or weight.const_value.size < SMALLEST:
            continue
        with np.errstate(over='ignore'):
            rounded = weight.const_value.numpy().astype(np.float16)
        if not np.isfinite(rounded).all():
            raise OverflowError(
                f"the weight {name} has numbers too large for float16: export with weights='fp32'"
            )
        stored = onnx_ir.Value(name=f'{name}_half', const_value=onnx_ir.tensor(rounded))
        stored.dtype, stored.shape = onnx_ir.DataType.FLOAT16, weight.shape
        cast = onnx_ir.node('Cast', [stored], dict(to=onnx_ir.DataType.FLOAT))
        graph.insert_before(graph[0], cast)
        weight.replace_all_uses_with(cast.outputs[0])
        graph.initializers.pop(name)
        cast.outputs[0].name = name
        graph.initializers[stored.name] = stored
