"""An EncoderDecoder whose output is a map with a grid of its own."""

from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from mmseg.utils import OptSampleList, SampleList
from torch import Tensor

from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.registry import MODELS


@MODELS.register_module()
class MapSegmentor(EncoderDecoder):
    """mmseg's ``EncoderDecoder`` around a map head, whose cells are not those of the input.

    The backbone turns the input into BEV features. With :class:`IdentityBackbone` the input is a
    feature that was computed before.

    Example:
        >>> (sample,) = model.predict(features)
        >>> sample.map_prob.data.shape
        torch.Size([6, 200, 200])
    """

    def predict(
        self,
        inputs: Tensor,
        data_samples: OptSampleList = None,
        *,
        draws: Draws | None = None,
    ) -> SampleList:
        """Predict the maps.

        Args:
            inputs: Images or features (B, C, H, W).
            data_samples: Their samples, filled in place.
            draws: Randomness of a diffusion head, see :meth:`DiffusionHead.chains`.

        Returns:
            Samples with ``map_prob`` (K, h, w), the probability of every class in every cell.
        """
        if data_samples is None:
            data_samples = [SegDataSample() for _ in inputs]
        metas = [sample.metainfo for sample in data_samples]
        options = {} if draws is None else dict(draws=draws)  # a plain head takes none
        features = self.extract_feat(inputs)
        maps = self.decode_head.predict(features, metas, self.test_cfg, **options)
        for sample, prob in zip(data_samples, maps, strict=True):
            sample.map_prob = PixelData(data=prob)
        return data_samples
