"""Referring expressions: sentences, each of which means one region of an image."""

from mmdiffseg.datasets.referring.phrase_cut import PhraseCutDataset
from mmdiffseg.datasets.referring.refer import RefCOCODataset
from mmdiffseg.datasets.referring.refer_files import read_refs

__all__ = ['PhraseCutDataset', 'RefCOCODataset', 'read_refs']
