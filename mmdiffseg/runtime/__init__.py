"""Runs exported models without torch: numpy, and onnxruntime or OpenVINO."""

from mmdiffseg.runtime.load import load
from mmdiffseg.runtime.segmenter import ExportedSegmenter

__all__ = ['ExportedSegmenter', 'load']
