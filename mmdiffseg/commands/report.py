"""Measure how far one model can be trusted, or several.

mmdiffseg report CONFIG CHECKPOINT --against OTHER_CONFIG OTHER_CHECKPOINT

Calibration, ranking of errors, failure detection, areas and the guarantee, with intervals, for any
model of mmseg. Writes report.html, which needs no other file, and report.json.
"""

from mmdiffseg.apis.trust_report import add_arguments
from mmdiffseg.apis.trust_report import main as run

__all__ = ['add_arguments', 'run']
