"""The host of a :class:`MaskRefineHead`."""

from mmseg.models.segmentors import EncoderDecoder

from mmdiffseg.registry import MODELS


@MODELS.register_module()
class MaskRefiner(EncoderDecoder):
    """Refines masks."""
