"""An EncoderDecoder whose output is a map with a grid of its own."""

from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from mmseg.utils import OptSampleList, SampleList
from torch import Tensor

from mmdiffseg.registry import MODELS


@MODELS.register_module()
class MapSegmentor(EncoderDecoder):
    """mmseg's ``EncoderDecoder`` around a map head, whose cells are not those of the input.

    The input is whatever the backbone makes BEV features of: with :class:`IdentityBackbone` the
    feature itself, computed before.
    """

    def predict(self, inputs: Tensor, data_samples: OptSampleList = None) -> SampleList:
        """Predict the maps.

        Args:
            inputs: Images or features (B, C, H, W).
            data_samples: Their samples, filled in place.

        Returns:
            Samples with ``map_prob`` (K, h, w), the probability of every class in every cell.
        """
        if data_samples is None:
            data_samples = [SegDataSample() for _ in inputs]
        metas = [sample.metainfo for sample in data_samples]
        maps = self.decode_head.predict(self.extract_feat(inputs), metas, self.test_cfg)
        for sample, prob in zip(data_samples, maps, strict=True):
            sample.map_prob = PixelData(data=prob)
        return data_samples
