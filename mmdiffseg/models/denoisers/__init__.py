"""Networks of a noisy map, a time and an image's features."""

from mmdiffseg.models.denoisers.map_decoder import DeformableMapDecoder

__all__ = ['DeformableMapDecoder']
