"""Weights of graphs in sixteen bits."""

import numpy as np
import pytest

ir = pytest.importorskip('onnx_ir')
onnxruntime = pytest.importorskip('onnxruntime')

from mmdiffseg.apis.exporting.half import halve_weights  # noqa: E402


def make_model(weight):
    """A matrix product and a sum with a constant."""
    small = np.float32([1 / 3])
    x = ir.Value(name='x', type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(['n', 64]))
    stored = [
        ir.Value(
            name=name,
            const_value=ir.tensor(array),
            type=ir.TensorType(ir.DataType.FLOAT),
            shape=ir.Shape(array.shape),
        )
        for name, array in (('weight', weight), ('small', small))
    ]
    product = ir.node('MatMul', [x, stored[0]])
    total = ir.node('Add', [product.outputs[0], stored[1]])
    (y,) = total.outputs
    y.name, y.type = 'y', ir.TensorType(ir.DataType.FLOAT)
    graph = ir.Graph(
        [x], [y], nodes=[product, total], initializers=stored, opset_imports={'': 18}, name='g'
    )
    return ir.Model(graph, ir_version=10)


def test_weights_are_rounded_and_nothing_else(tmp_path):
    rng = np.random.default_rng(0)
    weight, x = (rng.normal(size=shape).astype(np.float32) for shape in ((64, 64), (3, 64)))
    model = make_model(weight)
    halve_weights(model)
    ir.save(model, tmp_path / 'm.onnx')
    (y,) = onnxruntime.InferenceSession(tmp_path / 'm.onnx').run(None, dict(x=x))
    expected = x @ weight.astype(np.float16).astype(np.float32) + np.float32(1 / 3)
    np.testing.assert_allclose(y, expected, atol=1e-5)  # float16 arithmetic would be off by 1e-2
    assert (tmp_path / 'm.onnx').stat().st_size < 1.1 * weight.size * 2


def test_a_weight_that_does_not_fit_is_refused():
    weight = np.full((64, 64), 1e5, dtype=np.float32)
    with pytest.raises(OverflowError, match="weight has numbers too large.*weights='fp32'"):
        halve_weights(make_model(weight))
