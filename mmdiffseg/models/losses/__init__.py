"""Losses."""

from mmdiffseg.models.losses.multi_label_focal_loss import MultiLabelFocalLoss
from mmdiffseg.models.losses.sig_loss import SigLoss

__all__ = ['MultiLabelFocalLoss', 'SigLoss']
