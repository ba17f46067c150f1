"""Ref LDM-Seg's segmentor: find in a query what a few prompts show."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmseg.models.segmentors import BaseSegmentor
from mmseg.utils import OptSampleList, SampleList
from torch import Tensor

from mmdiffseg.diffusion.draws import Draws, noise_name
from mmdiffseg.models.diffusion_head import sample_key
from mmdiffseg.models.in_context.adapters import add_layer_adapters, add_shared_adapter
from mmdiffseg.models.in_context.concepts import concept_logits
from mmdiffseg.models.in_context.lora import add_lora
from mmdiffseg.models.in_context.prompt_encoder import EncodedPrompts
from mmdiffseg.models.latent.autoencoder import decode_latent, encode_image, stride
from mmdiffseg.models.latent.stable_diffusion import load_scheduler, load_unet, load_vae
from mmdiffseg.models.weights import save_only
from mmdiffseg.registry import LABEL_ENCODERS, MODELS, TASK_UTILS


@MODELS.register_module()
class RefLDMSeg(BaseSegmentor):
    """In-context segmentation by a latent diffusion model (Ref LDM-Seg / LDIS, arXiv 2403.09616).

    A query picture and k prompts, pictures with the mask of a concept, give the mask of that
    concept in the query. The prompts become the tokens that the U-Net of Stable Diffusion 1.x
    attends to; the mask is painted as a picture whose latent the U-Net makes.

    A checkpoint holds what trains and the settings of the pseudo mask, which must agree at load;
    the frozen networks come from ``stable_diffusion`` and ``prompt_encoder``.

    Args:
        data_preprocessor: Config of the preprocessor.
        stable_diffusion: Folder or name on the hub of the Stable Diffusion 1.x model.
        weights: Load its weights; else only its configuration, for random ones.
        meta_arch: Config of the way from query to mask, ``OneStep`` or ``MultiStep``.
        pseudo_mask: Config of the label encoder.
        prompt_encoder: Config of the encoder of the prompts.
        adapter: Linear maps from its tokens to the U-Net's width: one that is ``'shared'`` (as
            released) or one ``'per_layer'`` of cross-attention (the paper's first version).
        lora: Train low-rank updates and the adapters, see :func:`add_lora`, instead of the whole
            U-Net.
        seed: Seed of the test-time noise.
    """

    align_corners = False

    def __init__(
        self,
        *,
        data_preprocessor: dict,
        stable_diffusion: str,
        weights: bool = True,
        meta_arch: dict,
        pseudo_mask: dict,
        prompt_encoder: dict,
        adapter: str = 'shared',
        lora: dict | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        if adapter not in ('shared', 'per_layer'):
            raise ValueError(f"adapter must be 'shared' or 'per_layer', got {adapter!r}")
        self.pseudo_mask = LABEL_ENCODERS.build(pseudo_mask)
        self.meta_arch = TASK_UTILS.build(meta_arch)
        self.vae = load_vae(stable_diffusion, weights=weights)
        self.unet = load_unet(stable_diffusion, weights=weights)
        self.scheduler = load_scheduler(stable_diffusion)
        self.prompt_encoder = MODELS.build(prompt_encoder)
        self.seed = seed
        self.meta_arch.prepare(self)
        pretrained_input = self.unet.conv_in.in_channels == self.vae.config.latent_channels

        channels = self.prompt_encoder.channels
        self.adapters = None
        if adapter == 'shared':
            add_shared_adapter(self.unet, channels)
        else:
            self.adapters = add_layer_adapters(self.unet, channels)
        if lora is not None:
            add_lora(self.unet, **lora)  # freezes what else is in the U-Net
            self.unet.conv_in.requires_grad_(not pretrained_input)
            if adapter == 'shared':
                self.unet.encoder_hid_proj.requires_grad_(True)
        trained = [name for name, p in self.named_parameters() if p.requires_grad]
        save_only(self, [*trained, 'pseudo_mask.settings'])

    def init_weights(self) -> None:
        """Do nothing: all weights were loaded or drawn when the model was built."""

    def train(self, mode: bool = True) -> RefLDMSeg:
        """Switch to training or evaluation; what is frozen stays in evaluation."""
        super().train(mode)
        self.vae.eval()
        self.prompt_encoder.eval()
        return self

    def encode_prompts(self, images: Tensor, masks: Tensor) -> EncodedPrompts:
        """Encode prompts; once for a concept is enough, whatever the number of queries.

        Args:
            images: Pictures (B, k, 3, S, S) in [-1, 1].
            masks: Their foreground (B, k, S, S), 0 or 1.

        Returns:
            Tokens (B, L, C) and their mask (B, L).
        """
        return self.prompt_encoder(images, masks)

    def loss(
        self,
        inputs: dict,
        data_samples: SampleList,
        *,
        draws: Draws | None = None,
    ) -> dict[str, Tensor]:
        """Squared error of the masks' latents, pixels or noise.

        Args:
            inputs: ``query`` (B, 3, S, S), ``prompts`` (B, k, 3, S, S) in [-1, 1] and
                ``prompt_masks`` (B, k, S, S).
            data_samples: Samples with ``gt_sem_seg`` (1, S, S) of 0, 1 and 255.
            draws: By the names that the ``loss`` of the ``meta_arch`` documents.

        Raises:
            ValueError: Other labels, or pictures of a size that the autoencoder cannot restore.
        """
        query = inputs['query']
        labels = torch.cat([sample.gt_sem_seg.data for sample in data_samples])  # (B, S, S)
        draws = draws or Draws()
        target = self.pseudo_mask.encode(labels, query)
        prompts = self.encode_prompts(inputs['prompts'], inputs['prompt_masks'])
        return self.meta_arch.loss(self, query, target, prompts, draws=draws, valid=labels != 255)

    def predict(
        self,
        inputs: dict,
        data_samples: OptSampleList = None,
        *,
        prompts: EncodedPrompts | None = None,
        draws: Draws | None = None,
    ) -> SampleList:
        """Predict the masks, at the original size of each query.

        Args:
            inputs: ``query``, ``prompts`` and ``prompt_masks``, see :meth:`loss`.
            data_samples: Their samples, filled in place.
            prompts: Prompts that were encoded before, instead of those in ``inputs``; those of one
                query serve all.
            draws: By the names that the ``sample`` of the ``meta_arch`` documents; by default each
                sample has noise by its own name.

        Returns:
            Samples with ``pred_sem_seg`` (1, H, W), 1 on the concept, and ``seg_logits``
            (2, H, W), whose difference is positive there.
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
        """Predict several concepts at once, each found on its own (paper, video segmentation).

        Args:
            inputs: ``query`` (B, 3, S, S).
            data_samples: Their samples, filled in place.
            concepts: The encoded prompts of each of C concepts.
            draws: See :meth:`predict`; by default all concepts meet a sample's same noise.

        Returns:
            Samples with ``pred_sem_seg`` (1, H, W) in 0..C, 0 for none of the concepts, and
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
        """Scores (B, 2, S, S) of background and concept; see :meth:`predict`."""
        query = inputs['query']
        if prompts is None:
            prompts = self.encode_prompts(inputs['prompts'], inputs['prompt_masks'])
        if draws is None:
            h, w = query.shape[2:]
            metas = [sample.metainfo for sample in batch_data_samples or []] or [{}] * len(query)
            names = [noise_name(sample_key(meta), f'{h}x{w}') for meta in metas]
            draws = Draws.named(names, seed=self.seed)
        latent = self.meta_arch.sample(self, query, prompts.expand(len(query)), draws=draws)
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
            z: Latents (B, C, h, w).
            t: Times (B,) or (), integer.
            prompts: What it attends to.

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
