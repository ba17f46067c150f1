from mmdiffseg.datasets.transforms.check_labels import CheckLabels

__all__ = ['CheckLabels']
