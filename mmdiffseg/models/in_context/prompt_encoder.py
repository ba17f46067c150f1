"""Prompts, images with the mask of a concept, as tokens that a U-Net attends to."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdiffseg.models.extras import find_source, import_extra, is_path
from mmdiffseg.registry import MODELS

INPUT_NORMS = ('half', 'clip')
POOLS = ('tokens', 'masked_mean')
TOKEN_MASKS = ('nearest', 'any', 'none')
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class EncodedPrompts(NamedTuple):
    """What the U-Net attends to: a concept, encoded once for any number of queries."""

    #: (B, L, C)
    tokens: Tensor
    #: (B, L), 1 where the U-Net attends; for a row of zeros it attends everywhere
    mask: Tensor

    def expand(self, batch_size: int) -> EncodedPrompts:
        """Repeat the prompts of a single query for a batch."""
        if len(self.tokens) not in (1, batch_size):
            raise ValueError(
                f'prompts for {len(self.tokens)} queries meet a batch of {batch_size}: encode them '
                'for one query or for each'
            )
        return EncodedPrompts(*(part.expand(batch_size, *part.shape[1:]) for part in self))


@MODELS.register_module()
class CLIPPromptEncoder(nn.Module):
    """Frozen vision tower of CLIP or Alpha-CLIP, whose patch tokens are the prompt.

    Alpha-CLIP's patch embedding has a fourth channel, which sees the mask. It stands for the two
    convolutions of the released code, whose outputs are added.

    Args:
        checkpoint: Folder or hub name of a CLIP model of transformers, such as
            ``openai/clip-vit-large-patch14``. For Alpha-CLIP, the folder that
            ``tools/model_converters/alpha_clip_to_mmdiffseg.py`` writes.
        weights: Load the weights. Otherwise only the configuration is read, and the weights are
            random.
        input_norm: Range of the pictures that the tower sees: ``'half'``, [-1, 1] as in the
            released code, or ``'clip'``, normalised by CLIP's own mean and deviation.
        pool: ``'tokens'`` keeps the tokens of all patches; ``'masked_mean'`` averages those on the
            foreground, to one token per prompt.
        token_mask: Which patches the U-Net attends to: ``'nearest'``, those whose first pixel is
            on the foreground (as released); ``'any'``, those that touch it; ``'none'``, all.

    Example:
        >>> encoder = CLIPPromptEncoder(checkpoint='demo/tiny_world/alpha_clip')
        >>> prompts = encoder(images, masks)  # (B, k, 3, S, S) in [-1, 1] and (B, k, S, S)
        >>> prompts.tokens.shape
        torch.Size([1, 128, 96])
    """

    def __init__(
        self,
        *,
        checkpoint: str,
        weights: bool = True,
        input_norm: str = 'half',
        pool: str = 'tokens',
        token_mask: str = 'nearest',
    ) -> None:
        super().__init__()
        for name, value, choices in (
            ('input_norm', input_norm, INPUT_NORMS),
            ('pool', pool, POOLS),
            ('token_mask', token_mask, TOKEN_MASKS),
        ):
            if value not in choices:
                raise ValueError(f'{name} must be one of {choices}, got {value!r}')
        model = load_vision_tower(checkpoint, weights=weights)
        # transformers < 5 wraps the tower once more
        self.tower = getattr(model, 'vision_model', model).eval().requires_grad_(False)
        self.image_size = model.config.image_size
        self.grid = self.image_size // model.config.patch_size
        self.channels = model.config.hidden_size
        self.sees_mask = model.config.num_channels == 4
        self.input_norm = input_norm
        self.pool = pool
        self.token_mask = token_mask
        self._null = None
        self._warned = False

    def forward(self, images: Tensor, masks: Tensor) -> EncodedPrompts:
        """Encode the prompts of each query.

        Args:
            images: Pictures (B, k, 3, H, W) in [-1, 1], RGB.
            masks: Their foreground (B, k, H, W), 0 or 1.

        Returns:
            Tokens (B, k N, C) and mask (B, k N) for N patches, or N = 1 with ``'masked_mean'``.
        """
        encoded = self.encode(images, masks)
        if not self._warned and not encoded.mask.any(dim=1).all():
            self._warned = True
            warnings.warn(
                f'a prompt has no foreground on the grid of {self.grid} x {self.grid} patches, so '
                'the U-Net attends to all of it, background included: give a larger object or more '
                "prompts, or set token_mask='any' (this warning is given once)",
                stacklevel=2,
            )
        return encoded

    def encode(self, images: Tensor, masks: Tensor) -> EncodedPrompts:
        """What :meth:`forward` returns, without a look at it."""
        if images.shape[:2] + images.shape[3:] != masks.shape:
            raise ValueError(
                f'prompt images {tuple(images.shape)} and masks {tuple(masks.shape)} do not match: '
                'each image needs a mask of its size'
            )
        b = len(images)
        masks = masks.flatten(0, 1)[:, None].float()  # (B k, 1, H, W)
        tokens = self._patches(images.flatten(0, 1), masks)  # (B k, N, C)
        on = self._foreground(masks)  # (B k, N)
        if self.pool == 'masked_mean':
            area = on.sum(dim=1, keepdim=True)  # (B k, 1)
            tokens = (tokens * on[..., None]).sum(dim=1, keepdim=True) / (area[..., None] + 1e-6)
            on = area.clamp(max=1)
        tokens = tokens.unflatten(0, (b, -1)).flatten(1, 2)  # (B, k N, C)
        on = on.unflatten(0, (b, -1)).flatten(1, 2)  # (B, k N)
        return EncodedPrompts(tokens, on)

    def null_tokens(self, like: Tensor) -> Tensor:
        """Tokens (B, L, C) that stand for no prompt, in the shape of ``like``; kept once made."""
        if self._null is None:
            self._null = self.grey_tokens(like.device)
        b, length, _ = like.shape
        return self._null.to(like).repeat(b, length // self._null.shape[1], 1)

    def grey_tokens(self, device: torch.device) -> Tensor:
        """Tokens (1, N, C) of a grey picture that is all foreground, made anew."""
        # They are kept for later calls, so they must depend on nobody's autocast, nor be tensors of
        # the inference mode, which training refuses.
        with torch.inference_mode(False), torch.autocast(device.type, enabled=False):
            grey = torch.zeros(1, 3, self.image_size, self.image_size, device=device)
            tokens = self._patches(grey, torch.ones_like(grey[:, :1]))
            return tokens.mean(dim=1, keepdim=True) if self.pool == 'masked_mean' else tokens

    @torch.no_grad()
    def _patches(self, images: Tensor, masks: Tensor) -> Tensor:
        """Tokens (B, N, C) of pictures (B, 3, H, W) and their masks (B, 1, H, W)."""
        size = (self.image_size, self.image_size)
        pixels = F.interpolate(images.float(), size, mode='bilinear', align_corners=False)
        if self.input_norm == 'clip':
            mean, std = (pixels.new_tensor(v)[:, None, None] for v in (CLIP_MEAN, CLIP_STD))
            pixels = ((pixels + 1) / 2 - mean) / std
        if self.sees_mask:
            alpha = (F.interpolate(masks, size, mode='nearest') - 0.5) / 0.26
            pixels = torch.cat([pixels, alpha], dim=1)
        weight = self.tower.embeddings.patch_embedding.weight
        hidden = self.tower(pixels.to(weight.dtype)).last_hidden_state
        return hidden[:, 1:].float()  # without the class token

    def _foreground(self, masks: Tensor) -> Tensor:
        """Patches (B, N) on the foreground of masks (B, 1, H, W)."""
        size = (self.grid, self.grid)
        if self.token_mask == 'none':
            masks = masks.new_ones(len(masks), 1, *size)
        elif self.token_mask == 'any':
            masks = F.adaptive_max_pool2d(masks, size)
        else:
            masks = F.interpolate(masks, size, mode='nearest')
        return masks.flatten(1)

    def extra_repr(self) -> str:
        """Settings shown when the model is printed."""
        return (
            f'image_size={self.image_size}, grid={self.grid}, sees_mask={self.sees_mask}, '
            f'input_norm={self.input_norm!r}, pool={self.pool!r}, token_mask={self.token_mask!r}'
        )


def load_vision_tower(checkpoint: str, *, weights: bool = True) -> nn.Module:
    """Load the vision half of a CLIP model, in float32.

    Args:
        checkpoint: Folder or hub name.
        weights: Load the weights. Otherwise only the configuration is read, and the weights are
            random.

    Raises:
        FileNotFoundError: The model is in no folder, cache or hub that can be reached.
        ValueError: The model has no vision tower.
    """
    transformers = import_extra('transformers')
    checkpoint = find_source(checkpoint)
    folder = Path(checkpoint)
    if folder.is_dir() and not (folder / 'config.json').is_file():
        raise FileNotFoundError(f'{checkpoint} is not a CLIP folder: it lacks config.json')
    if not folder.exists() and is_path(checkpoint):
        raise FileNotFoundError(
            f'no CLIP folder {checkpoint!r} was found: correct the path, or give a hub name '
            'such as openai/clip-vit-large-patch14'
        )
    model = transformers.CLIPVisionModel
    try:
        if not weights:
            return model(
                transformers.CLIPVisionConfig.from_pretrained(checkpoint, trust_remote_code=False)
            )
        tower, report = model.from_pretrained(
            checkpoint, output_loading_info=True, use_safetensors=True, trust_remote_code=False
        )
    except OSError as error:
        raise FileNotFoundError(
            f'the CLIP model {checkpoint!r} was found neither in a local folder, nor in the cache, '
            f'nor on the hub ({str(error).splitlines()[0]})'
        ) from error
    if report['missing_keys']:
        raise ValueError(
            f'{checkpoint} holds no CLIP vision tower: {len(report["missing_keys"])} weights '
            f'are missing, such as {sorted(report["missing_keys"])[0]}'
        )
    return tower.float()
