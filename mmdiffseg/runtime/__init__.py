"""Runs exported models without torch: numpy, and onnxruntime or OpenVINO."""

from mmdiffseg.runtime.segmenter import ExportedSegmenter, load

__all__ = ['ExportedSegmenter', 'load']
