"""Graphs of an exported model, run by the library that their format needs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np

#: how the graphs may be stored: the ends of their file names
SUFFIXES = {'onnx': '.onnx', 'openvino': '.xml', 'torch': '.pt2'}


class Graph:
    """A function of named arrays.

    Args:
        file: Where it is stored.
        inputs: Names of its inputs.
        outputs: Names of its outputs.
        threads: Threads to run it in; None leaves the choice to the library.
    """

    def __init__(
        self, file: Path, *, inputs: list[str], outputs: list[str], threads: int | None
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.load(file, threads)

    def load(self, file: Path, threads: int | None) -> None:
        """Read the graph."""
        raise NotImplementedError

    def run(self, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
        """All outputs for the inputs by name."""
        raise NotImplementedError

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs by name, for all inputs by name."""
        given = {name: np.ascontiguousarray(arrays[name]) for name in self.inputs}
        return dict(zip(self.outputs, self.run(given), strict=True))


class OnnxGraph(Graph):
    """A graph in onnxruntime; see :class:`Graph`."""

    def load(self, file: Path, threads: int | None) -> None:
        """See :meth:`Graph.load`."""
        onnxruntime = need('onnxruntime', extra='onnx')
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # what it says of unused weights helps nobody
        if threads is not None:
            options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(
            file, options, providers=onnxruntime.get_available_providers()
        )
        # an input that no output depends on is not in the graph
        self.used = {entry.name for entry in self.session.get_inputs()}

    def run(self, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
        """See :meth:`Graph.run`."""
        given = {name: array for name, array in arrays.items() if name in self.used}
        return self.session.run(self.outputs, given)


class OpenVinoGraph(Graph):
    """A graph in OpenVINO; see :class:`Graph`."""

    def load(self, file: Path, threads: int | None) -> None:
        """See :meth:`Graph.load`."""
        openvino = need('openvino', extra='openvino')
        # by default it may compute in fewer bits than the graph says
        options = {'INFERENCE_PRECISION_HINT': 'f32'}
        if threads is not None:
            options['INFERENCE_NUM_THREADS'] = threads
        self.compiled = openvino.Core().compile_model(file, 'CPU', options)
        self.used = {name for entry in self.compiled.inputs for name in entry.names}

    def run(self, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
        """See :meth:`Graph.run`."""
        given = {name: array for name, array in arrays.items() if name in self.used}
        results = self.compiled(given)
        return [np.array(results[name]) for name in self.outputs]


class TorchGraph(Graph):
    """A graph that ``torch.export`` has stored; see :class:`Graph`."""

    def load(self, file: Path, threads: int | None) -> None:
        """See :meth:`Graph.load`."""
        self.torch = need('torch', extra='onedl')
        if threads is not None:
            self.torch.set_num_threads(threads)
        self.module = self.torch.export.load(file).module()

    def run(self, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
        """See :meth:`Graph.run`."""
        with self.torch.no_grad():
            results = self.module(tuple(map(self.torch.from_numpy, arrays.values())))
        return [result.numpy() for result in results]


GRAPHS = dict(zip(SUFFIXES, (OnnxGraph, OpenVinoGraph, TorchGraph), strict=True))


def need(library: str, *, extra: str) -> ModuleType:
    """Import a library of an extra.

    Raises:
        ModuleNotFoundError: It is not installed.
    """
    try:
        return import_module(library)
    except ModuleNotFoundError as error:
        if error.name != library:
            raise
        raise ModuleNotFoundError(
            f"exported models of this format need {library}: pip install 'mmdiffseg[{extra}]'"
        ) from None
