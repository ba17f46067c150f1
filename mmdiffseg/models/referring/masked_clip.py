"""CLIP features of regions and texts: the discriminative part of Ref-Diff.

A region is seen in two views: cut out, and by a class token that attends to this region alone.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from mmdiffseg.models.latent.text import load_tokenizer, load_transformer
from mmdiffseg.models.memory import check_memory
from mmdiffseg.models.referring.root_finder import Root
from mmdiffseg.models.referring.sentences import check_sentence
from mmdiffseg.registry import MODELS

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # of CLIP


def resized_positions(table: Tensor, grid: tuple[int, int]) -> Tensor:
    """Interpolate position embeddings to another grid of patches.

    As in DINO and the released code, the scale is a tenth of a patch too large, which shifts the
    sampling points a little.

    Args:
        table: Embeddings (P, C) of the square grid that the model was trained on.
        grid: Patches down and across.

    Returns:
        (h w, C).
    """
    side = int(len(table) ** 0.5)
    if grid == (side, side):
        return table
    square = table.unflatten(0, (side, side)).permute(2, 0, 1)[None].float()  # (1, C, side, side)
    scale = tuple((length + 0.1) / side for length in grid)
    positions = F.interpolate(square, scale_factor=scale, mode='bicubic', align_corners=False)
    return positions.flatten(2)[0].T.to(table.dtype)


def equal_batches(lengths: Sequence[int], max_batch: int) -> Iterator[list[int]]:
    """Group indices by equal length, at most ``max_batch`` in a group: nothing needs padding."""
    groups = defaultdict(list)
    for index, length in enumerate(lengths):
        groups[length].append(index)
    for group in groups.values():
        for first in range(0, len(group), max_batch):
            yield group[first : first + max_batch]


def crop(image: NDArray, mask: NDArray, box: Sequence[int], short_side: int) -> Image.Image:
    """Cut a mask out of an image, black outside of the mask, and resize its short side.

    Args:
        image: (H, W, 3) uint8.
        mask: (H, W) bool.
        box: First and last pixel of the mask (x1, y1, x2, y2).
        short_side: Pixels of the result's short side.
    """
    x1, y1, x2, y2 = box
    part = np.s_[y1 : y2 + 1, x1 : x2 + 1]
    picture = Image.fromarray(image[part] * mask[part][..., None])
    short, long = sorted(picture.size)
    long = int(short_side * long / short)
    size = (short_side, long) if picture.width <= picture.height else (long, short_side)
    return picture.resize(size, Image.Resampling.BILINEAR)


@MODELS.register_module()
class MaskedCLIP(nn.Module):
    """CLIP features of regions and texts, as unit vectors.

    Example:
        >>> clip = MaskedCLIP(checkpoint='openai/clip-vit-base-patch16')
        >>> regions = clip.encode_hard(image, masks)  # (H, W, 3) uint8 RGB, (N, H, W) bool
        >>> regions @ clip.encode_text(['a red umbrella'])[0]  # (N,)

    Args:
        checkpoint: Folder or hub name of a ``CLIPModel`` and its tokenizer, such as
            ``openai/clip-vit-base-patch16``; tools/model_converters/openai_clip_to_transformers.py
            makes a folder of OpenAI's file.
        vit_output_layer: Layer whose class token is the feature: -1, the last one (released), or
            -2, the one before it (what the paper seems to mean).
        max_batch: Number of crops to encode at once; it bounds the memory.

    Raises:
        ValueError: The model has no such layer.
    """

    def __init__(self, *, checkpoint: str, vit_output_layer: int = -1, max_batch: int = 16) -> None:
        super().__init__()
        self.clip = load_transformer('CLIPModel', checkpoint)
        self.tokenizer = load_tokenizer(checkpoint, part='')
        layers = self.vision.encoder.layers
        if not -len(layers) <= vit_output_layer < 0:
            raise ValueError(
                f'vit_output_layer must be in -{len(layers)} .. -1, got {vit_output_layer}'
            )
        self.vision.encoder.layers = layers[: len(layers) + 1 + vit_output_layer]
        self.max_batch = max_batch

    @property
    def vision(self) -> nn.Module:
        """The vision transformer, without the projection."""
        return self.clip.vision_model

    def check(self, text: str, root: Root) -> list[str]:
        """Refuse a sentence that cannot be read, and note its unknown words.

        Raises:
            ValueError: The text encoder cannot read it.
        """
        return check_sentence(self.tokenizer, text, root)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Features (n, C) of texts that passed :meth:`check`."""
        ids = self.tokenizer(list(texts), padding='max_length', return_tensors='pt').input_ids
        pooled = self.clip.text_model(ids.to(self.clip.device)).pooler_output
        return F.normalize(self.clip.text_projection(pooled).float(), dim=1)

    def encode_hard(self, image: NDArray, masks: Tensor) -> Tensor:
        """Features (N, C) of masked crops: the tight box of each mask, black outside of the mask.

        Args:
            image: (H, W, 3) uint8 RGB.
            masks: (N, H, W) bool, N > 0.

        Raises:
            ValueError: A mask is empty.
        """
        from torchvision.ops import masks_to_boxes  # heavy, and needed for crops alone

        empty = (~masks.flatten(1).any(dim=1)).nonzero().flatten()
        if len(empty):
            raise ValueError(f'proposal {empty[0]} is an empty mask, which cannot be cropped')
        masks = masks.cpu()
        short_side, patch = (
            self.clip.config.vision_config.image_size,
            self.vision.embeddings.patch_size,
        )
        crops = [
            crop(image, mask.numpy(), box, short_side)
            for mask, box in zip(masks, masks_to_boxes(masks).int().tolist(), strict=True)
        ]
        lengths = [(c.width // patch) * (c.height // patch) for c in crops]
        features = [None] * len(crops)
        for group in equal_batches(lengths, self.max_batch):
            tokens = torch.stack([self.tokens(np.asarray(crops[i]), copies=1) for i in group])
            for i, feature in zip(group, self.encode(tokens)[:, 0], strict=True):
                features[i] = feature
        return self.project(torch.stack(features))

    def encode_soft(self, image: NDArray, masks: Tensor) -> Tensor:
        """Features (N, C) of masks by restricted attention, all in one pass.

        The image is taken at its own resolution. Each mask has a class token, which attends to
        itself and to the patches inside the mask, in every layer. The patches attend to each other
        and to no class token. The token of a mask that covers no patch attends to itself alone.

        Args:
            image: (H, W, 3) uint8 RGB.
            masks: (N, H, W) bool.

        Raises:
            ValueError: The image is smaller than a patch, or too large for the memory.
        """
        n, patch = len(masks), self.vision.embeddings.patch_size
        grid = (image.shape[0] // patch, image.shape[1] // patch)
        if 0 in grid:
            raise ValueError(
                f'an image of {image.shape[1]}x{image.shape[0]} pixels is smaller than a patch of '
                f'{patch}: enlarge it'
            )
        length = n + math.prod(grid)
        check_memory(
            # who sees whom, as numbers and twice as truth values
            (self.clip.dtype.itemsize + 2) * length**2,
            self.clip.device,
            what=f'restricted attention over an image of {image.shape[1]}x{image.shape[0]}',
            fix='resize the image',
        )
        tokens = self.tokens(image, copies=n)[None]  # (1, N + h w, D)
        inside = F.interpolate(masks[:, None].float(), size=grid).flatten(1)  # (N, h w)
        visible = torch.zeros(length, length, dtype=torch.bool)
        visible.fill_diagonal_(True)
        visible[:n, n:] = inside > 0
        visible[n:, n:] = True
        encoded = self.encode(tokens, visible[None, None].to(tokens.device))
        return self.project(encoded[0, :n])

    def tokens(self, image: NDArray, *, copies: int) -> Tensor:
        """Class tokens and whole patches (copies + h w, D) of an image."""
        embeddings = self.vision.embeddings
        weight = embeddings.patch_embedding.weight
        pixels = torch.from_numpy(image.astype(np.float32) / 255)
        pixels = (pixels - torch.tensor(MEAN)) / torch.tensor(STD)
        patches = embeddings.patch_embedding(pixels.permute(2, 0, 1)[None].to(weight))
        grid = tuple(patches.shape[2:])
        patches = patches.flatten(2)[0].T  # (1, D, h, w) -> (h w, D)
        positions = embeddings.position_embedding.weight
        patches = patches + resized_positions(positions[1:], grid)
        own = embeddings.class_embedding + positions[0]  # (D,)
        return torch.cat([own.expand(copies, -1), patches])

    def encode(self, tokens: Tensor, visible: Tensor | None = None) -> Tensor:
        """Run the transformer on tokens (B, L, D), which are not normalised yet.

        Args:
            tokens: Class tokens and patches.
            visible: Which tokens (last axis) each token attends to (1, 1, L, L), bool; None for
                all.
        """
        hidden, bias = self.vision.pre_layrnorm(tokens), None
        if visible is not None:
            bias = torch.zeros(visible.shape, dtype=hidden.dtype, device=hidden.device)
            bias.masked_fill_(~visible, float('-inf'))
        return self.vision.encoder(inputs_embeds=hidden, attention_mask=bias).last_hidden_state

    def project(self, tokens: Tensor) -> Tensor:
        """Project encoded class tokens (N, D) to unit vectors (N, C)."""
        features = self.clip.visual_projection(self.vision.post_layernorm(tokens))
        return F.normalize(features.float(), dim=1)
