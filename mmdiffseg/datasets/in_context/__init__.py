"""Episodes of in-context segmentation."""

from mmdiffseg.datasets.in_context.coco_20i import COCO20iDataset
from mmdiffseg.datasets.in_context.concepts import Concept, concept_keys, list_concepts, read_lists
from mmdiffseg.datasets.in_context.episode_lists import CocoEpisodeDataset, ShapesInContextDataset
from mmdiffseg.datasets.in_context.folds import fold_classes, fold_of
from mmdiffseg.datasets.in_context.in_context import InContextDataset
from mmdiffseg.datasets.in_context.instance_masks import InstanceMaskDataset
from mmdiffseg.datasets.in_context.samplers import WeightedInfiniteSampler, WholeFrameSampler

__all__ = [
    'COCO20iDataset',
    'CocoEpisodeDataset',
    'Concept',
    'InContextDataset',
    'InstanceMaskDataset',
    'ShapesInContextDataset',
    'WeightedInfiniteSampler',
    'WholeFrameSampler',
    'concept_keys',
    'fold_classes',
    'fold_of',
    'list_concepts',
    'read_lists',
]
