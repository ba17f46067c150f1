"""In-context segmentation: find in a query picture what a few prompts show."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from mmseg.models.segmentors import BaseSegmentor
from mmseg.utils import OptSampleList, SampleList
from torch import Tensor

from mmdiffseg.diffusion.draws import Draws, check_seed, noise_name
from mmdiffseg.models.diffusion_head import sample_key
from mmdiffseg.models.in_context.adapters import add_layer_adapters, add_shared_adapter
from mmdiffseg.models.in_context.concepts import concept_logits
from mmdiffseg.models.in_context.lora import add_lora
from mmdiffseg.models.in_context.prompt_encoder import EncodedPrompts
from mmdiffseg.models.in_context.widen import widen_input
from mmdiffseg.models.latent.autoencoder import decode_latent, encode_image, stride
from mmdiffseg.models.latent.stable_diffusion import load_scheduler, load_unet, load_vae
from mmdiffseg.models.weights import save_only
from mmdiffseg.registry import LABEL_ENCODERS, MODELS


class InContextSegmentor(BaseSegmentor):
    """What the two ways of Ref LDM-Seg / LDIS have in common (arXiv 2403.09616).

    The input is a query picture and k prompts, pictures with the mask of one concept. The prompts
    become tokens that the U-Net of Stable Diffusion 1.x attends to. The mask of the concept in the
    query is painted as a picture, whose latent the U-Net makes. A subclass says how, in
    :meth:`mask_loss` and :meth:`mask_latent`.

    A checkpoint holds the trained weights and the settings of the pseudo mask, which must agree
    with the config. The frozen networks come from ``stable_diffusion`` and ``prompt_encoder``.

    Args:
        data_preprocessor: Config of the preprocessor.
        stable_diffusion: Folder or hub name of the Stable Diffusion 1.x model.
        weights: Load its weights. Otherwise only its configuration is read, and the weights are
            random.
        pseudo_mask: Config of the label encoder.
        prompt_encoder: Config of the prompt encoder.
        adapter: Linear maps from the prompt tokens to the width of the U-Net: ``'shared'``, one for
            the whole U-Net (as released), or ``'per_layer'``, one for each cross-attention layer
            (the paper's first version).
        lora: Options of :func:`add_lora`: train low-rank updates and the adapters. None trains the
            whole U-Net.
        seed: Seed of the test-time noise.
    """

    align_corners = False
    #: number of latents that the U-Net sees side by side
    input_latents: ClassVar[int] = 1

    def __init__(
        self,
        *,
        data_preprocessor: dict,
        stable_diffusion: str,
        weights: bool = True,
        pseudo_mask: dict,
        prompt_encoder: dict,
        adapter: str = 'shared',
        lora: dict | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        if adapter not in ('shared', 'per_layer'):
            raise ValueError(f"adapter must be 'shared' or 'per_layer', got {adapter!r}")
        check_seed(seed)
        self.pseudo_mask = LABEL_ENCODERS.build(pseudo_mask)
        self.vae = load_vae(stable_diffusion, weights=weights)
        self.unet = load_unet(stable_diffusion, weights=weights)
        self.scheduler = load_scheduler(stable_diffusion)
        self.prompt_encoder = MODELS.build(prompt_encoder)
        self.seed = seed
        widen_input(self.unet, self.input_latents * self.vae.config.latent_channels)

        channels = self.prompt_encoder.channels
        self.adapters = None
        if adapter == 'shared':
            add_shared_adapter(self.unet, channels)
        else:
            self.adapters = add_layer_adapters(self.unet, channels)
        if lora is not None:
            add_lora(self.unet, **lora)  # freezes the whole U-Net, new layers included
            self.unet.conv_in.requires_grad_(self.input_latents > 1)
            if adapter == 'shared':
                self.unet.encoder_hid_proj.requires_grad_(True)
        trained = [name for name, p in self.named_parameters() if p.requires_grad]
        save_only(self, [*trained, 'pseudo_mask.settings'])

    @abstractmethod
    def mask_loss(
        self, query: Tensor, labels: Tensor, prompts: EncodedPrompts, *, draws: Draws
    ) -> dict[str, Tensor]:
        """Training loss.

        Args:
            query: Pictures (B, 3, S, S) in [-1, 1].
            labels: Their labels (B, S, S): 0, 1, and 255 (ignored).
            prompts: The encoded prompts of each query.
            draws: A subclass says which.
        """

    @abstractmethod
    def mask_latent(self, query: Tensor, prompts: EncodedPrompts, *, draws: Draws) -> Tensor:
        """Latents (B, C, h, w) of the painted masks, scaled.

        Args:
            query: Pictures (B, 3, S, S) in [-1, 1].
            prompts: The encoded prompts of each query.
            draws: A subclass says which.
        """

    def init_weights(self) -> None:
        """Do nothing: the constructor has loaded or drawn all weights."""

    def train(self, mode: bool = True) -> InContextSegmentor:
        """Switch to training or evaluation; the frozen networks stay in evaluation."""
        super().train(mode)
        self.vae.eval()
        self.prompt_encoder.eval()
        return self

    def encode_prompts(self, images: Tensor, masks: Tensor) -> EncodedPrompts:
        """Encode the prompts of a concept, once for any number of queries.

        Args:
            images: Pictures (B, k, 3, S, S) in [-1, 1].
            masks: Their foreground (B, k, S, S), 0 or 1.

        Returns:
            Tokens (B, L, C) and their mask (B, L).
        """
        return self.prompt_encoder(images, masks)

    def loss(
        self, inputs: dict, data_samples: SampleList, *, draws: Draws | None = None
    ) -> dict[str, Tensor]:
        """Training loss of a batch.

        Args:
            inputs: ``query`` (B, 3, S, S), ``prompts`` (B, k, 3, S, S) in [-1, 1] and
                ``prompt_masks`` (B, k, S, S).
            data_samples: Samples with ``gt_sem_seg`` (1, S, S): 0, 1, and 255 (ignored).
            draws: See :meth:`mask_loss`; by default torch's global generator draws.

        Raises:
            ValueError: The labels hold other values, or the autoencoder cannot restore the size of
                the pictures.
        """
        labels = torch.cat([sample.gt_sem_seg.data for sample in data_samples])  # (B, S, S)
        prompts = self.encode_prompts(inputs['prompts'], inputs['prompt_masks'])
        return self.mask_loss(inputs['query'], labels, prompts, draws=draws or Draws())

    def predict(
        self,
        inputs: dict,
        data_samples: OptSampleList = None,
        *,
        prompts: EncodedPrompts | None = None,
        draws: Draws | None = None,
    ) -> SampleList:
        """Predict the masks in the original size of each query.

        Args:
            inputs: ``query``, ``prompts`` and ``prompt_masks``, see :meth:`loss`.
            data_samples: Their samples, filled in place.
            prompts: Encoded prompts to use instead of those in ``inputs``. The prompts of one query
                serve all queries.
            draws: See :meth:`mask_latent`; by default each sample has noise by its own name.

        Returns:
            Samples with ``pred_sem_seg`` (1, H, W), 1 on the concept, and ``seg_logits``
            (2, H, W) of background and concept.
        """
        logits = self.encode_decode(inputs, data_samples, prompts=prompts, draws=draws)
        return self.postprocess_result(logits, data_samples)

    def predict_concepts(
        self,
        inputs: dict,
        data_samples: OptSampleList = None,
        *,
        concepts: Sequence[EncodedPrompts],
        draws: Draws | None = None,
    ) -> SampleList:
        """Predict one map of several concepts, finding each on its own (paper, video segmentation).

        Args:
            inputs: ``query`` (B, 3, S, S).
            data_samples: Their samples, filled in place.
            concepts: The encoded prompts of each of C concepts.
            draws: See :meth:`predict`; by default a sample has the same noise for all concepts.

        Returns:
            Samples with ``pred_sem_seg`` (1, H, W) in 0..C, 0 for the background, and
            ``seg_logits`` (C + 1, H, W), whose softmax is the paper's probability.
        """
        margins = []
        for prompts in concepts:
            logits = self.encode_decode(inputs, data_samples, prompts=prompts, draws=draws)
            margins.append(logits[:, 1] - logits[:, 0])
        return self.postprocess_result(concept_logits(torch.stack(margins, dim=1)), data_samples)

    def encode_decode(
        self,
        inputs: dict,
        batch_data_samples: OptSampleList = None,
        *,
        prompts: EncodedPrompts | None = None,
        draws: Draws | None = None,
    ) -> Tensor:
        """Logits (B, 2, S, S) of background and concept; see :meth:`predict`."""
        query = inputs['query']
        if prompts is None:
            prompts = self.encode_prompts(inputs['prompts'], inputs['prompt_masks'])
        if draws is None:
            h, w = query.shape[2:]
            metas = [sample.metainfo for sample in batch_data_samples or []] or [{}] * len(query)
            names = [noise_name(sample_key(meta), f'{h}x{w}') for meta in metas]
            draws = Draws.named(names, seed=self.seed)
        latent = self.mask_latent(query, prompts.expand(len(query)), draws=draws)
        picture = decode_latent(self.vae, latent / self.vae.config.scaling_factor)
        return self.pseudo_mask.decode_logits(picture, query)

    def extract_feat(self, inputs: dict) -> Tensor:
        """Most likely latents (B, C, h, w) of the queries, not scaled."""
        return encode_image(self.vae, inputs['query'])

    def _forward(self, inputs: dict, data_samples: OptSampleList = None) -> Tensor:
        return self.encode_decode(inputs, data_samples)

    def denoise(self, z: Tensor, t: Tensor, prompts: EncodedPrompts) -> Tensor:
        """Call the U-Net.

        Args:
            z: Latents (B, C, h, w), with ``input_latents`` of them side by side.
            t: Integer times (B,) or ().
            prompts: What the U-Net attends to.

        Returns:
            (B, 4, h, w), float32.
        """
        dtype = self.unet.conv_in.weight.dtype
        output = self.unet(
            z.to(dtype),
            t,
            encoder_hidden_states=prompts.tokens.to(dtype),
            encoder_attention_mask=prompts.mask,
        )
        return output.sample.float()

    def scaled_latent(self, image: Tensor, noise: Tensor | None = None) -> Tensor:
        """Latents of about unit variance; see :func:`encode_image`."""
        return encode_image(self.vae, image, noise) * self.vae.config.scaling_factor

    def latent_shape(self, images: Tensor) -> tuple[int, int, int, int]:
        """Shape (B, C, h, w) of the latents of pictures (B, 3, S, S)."""
        b, _, h, w = images.shape
        cell = stride(self.vae)
        if h % cell or w % cell:
            raise ValueError(
                f'pictures of {h} x {w} pixels do not fit the autoencoder: their sides must be '
                f"multiples of {cell}; set 'data_preprocessor.size'"
            )
        return b, self.vae.config.latent_channels, h // cell, w // cell


@MODELS.register_module()
class RefLDMSeg:
    """Former type of both models; says how to convert a config that has a ``meta_arch``."""

    def __init__(self, *, meta_arch: dict | None = None, **config) -> None:
        kind = (meta_arch or {}).get('type', 'OneStep').rsplit('.', 1)[-1]
        raise ValueError(
            f"type='RefLDMSeg' with meta_arch=dict(type='{kind}', ...) is now type='mmdiffseg."
            f"RefLDMSeg{kind}', with the settings of meta_arch among its own; checkpoints stay"
        )
