"""Losses."""

from mmdiffseg.models.losses.sig_loss import SigLoss

__all__ = ['SigLoss']
