"""CLIP's opinion of regions: as crops, and as class tokens that see one region of the whole image.

Ref-Diff's discriminative part.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from mmdiffseg.models.latent.text import load_tokenizer, load_transformer
from mmdiffseg.models.referring.box_nms import mask_boxes
from mmdiffseg.models.referring.sentences import check_sentence
from mmdiffseg.registry import MODELS

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # of CLIP


def resized_positions(table: Tensor, grid: tuple[int, int]) -> Tensor:
    """Position embeddings of another grid of patches.

    Interpolated as in DINO and the released code: the scale is a tenth of a patch too large, which
    moves the points of sampling a little.

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


def batches_by_length(lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
    """Indices in groups of like length, whose padded size stays within ``max_tokens``."""
    group = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and lengths[index] * (len(group) + 1) > max_tokens:
            yield group
            group = []
        group.append(index)
    yield group


def crop(image: NDArray, mask: NDArray, box: Sequence[int], short_side: int) -> Image.Image:
    """What an image (H, W, 3) uint8 shows of a mask (H, W), black around, cut to a box of pixels.

    Resized so that the short side is ``short_side``.
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

    Args:
        checkpoint: Folder or hub name of a ``CLIPModel`` and its tokenizer, such as
            ``openai/clip-vit-base-patch16``; tools/model_converters/openai_clip_to_transformers.py
            makes a folder of OpenAI's file.
        vit_output_layer: Layer whose class token is the feature: -1, the last (released), or -2,
            the one before (what the paper seems to mean).
        crop_size: Short side of the crops; that of CLIP's own images by default.
        max_tokens: Patches and class tokens of all crops that are encoded at once: the memory
            bound.

    Raises:
        ValueError: The model has no such layer.
    """

    def __init__(
        self,
        *,
        checkpoint: str,
        vit_output_layer: int = -1,
        crop_size: int | None = None,
        max_tokens: int = 16384,
    ) -> None:
        super().__init__()
        self.clip = load_transformer('CLIPModel', checkpoint)
        self.tokenizer = load_tokenizer(checkpoint, part='')
        layers = self.vision.encoder.layers
        if not -len(layers) <= vit_output_layer < 0:
            raise ValueError(
                f'vit_output_layer must be in -{len(layers)} .. -1, got {vit_output_layer}'
            )
        self.vision.encoder.layers = layers[: len(layers) + 1 + vit_output_layer]
        self.crop_size = crop_size or self.clip.config.vision_config.image_size
        self.max_tokens = max_tokens

    @property
    def vision(self) -> nn.Module:
        """The vision transformer, without the projection."""
        return self.clip.vision_model

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Features (n, C) of texts.

        Raises:
            ValueError: The encoder cannot read one of them.
        """
        for text in texts:
            check_sentence(self.tokenizer, text)
        ids = self.tokenizer(list(texts), padding='max_length', return_tensors='pt').input_ids
        pooled = self.clip.text_model(ids.to(self.clip.device)).pooler_output
        return F.normalize(self.clip.text_projection(pooled).float(), dim=1)

    def encode_hard(self, image: NDArray, masks: Tensor) -> Tensor:
        """Features (N, C) of masked crops: each mask's tight box, black outside of the mask.

        Args:
            image: (H, W, 3) uint8 RGB.
            masks: (N, H, W) bool, N > 0.

        Raises:
            ValueError: A mask is empty.
        """
        empty = (~masks.flatten(1).any(dim=1)).nonzero().flatten()
        if len(empty):
            raise ValueError(f'proposal {empty[0]} is empty: there is nothing of it to crop')
        masks = masks.cpu()
        crops = [
            crop(image, mask.numpy(), box, self.crop_size)
            for mask, box in zip(masks, mask_boxes(masks).tolist(), strict=True)
        ]
        patch = self.vision.embeddings.patch_size
        lengths = [(c.width // patch) * (c.height // patch) + 1 for c in crops]
        features = [None] * len(crops)
        for group in batches_by_length(lengths, self.max_tokens):
            rows = [self.tokens(np.asarray(crops[i]), copies=1) for i in group]
            tokens = nn.utils.rnn.pad_sequence(rows, batch_first=True)  # (B, L, D)
            used = torch.tensor([lengths[i] for i in group], device=tokens.device)
            visible = torch.arange(tokens.shape[1], device=tokens.device) < used[:, None]  # (B, L)
            encoded = self.encode(tokens, visible[:, None, None])
            for i, feature in zip(group, encoded[:, 0], strict=True):
                features[i] = feature
        return self.project(torch.stack(features))

    def encode_soft(self, image: NDArray, masks: Tensor) -> Tensor:
        """Features (N, C) of masks by restricted attention, all in one pass.

        The image is taken at its own resolution. Each mask has a class token, which sees itself and
        the patches inside of the mask, in every layer; the patches see each other and no class
        token. A mask that vanishes between the patches leaves its token alone.

        Args:
            image: (H, W, 3) uint8 RGB.
            masks: (N, H, W) bool.

        Raises:
            ValueError: The image is smaller than a patch.
        """
        n, patch = len(masks), self.vision.embeddings.patch_size
        grid = (image.shape[0] // patch, image.shape[1] // patch)
        if 0 in grid:
            raise ValueError(
                f'an image of {image.shape[0]}x{image.shape[1]} pixels has no patch of {patch}: '
                f'enlarge it'
            )
        tokens = self.tokens(image, copies=n)[None]  # (1, N + h w, D)
        inside = F.interpolate(masks[:, None].float(), size=grid).flatten(1)  # (N, h w)
        length = tokens.shape[1]
        visible = torch.zeros(length, length, dtype=torch.bool)
        visible.fill_diagonal_(True)
        visible[:n, n:] = inside > 0
        visible[n:, n:] = True
        encoded = self.encode(tokens, visible[None, None].to(tokens.device))
        return self.project(encoded[0, :n])

    def tokens(self, image: NDArray, *, copies: int) -> Tensor:
        """Class tokens and patches (copies + h w, D) of an image; pixels left over are ignored."""
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

    def encode(self, tokens: Tensor, visible: Tensor) -> Tensor:
        """Run the transformer on tokens (B, L, D).

        Args:
            tokens: They, not normalised yet.
            visible: Whom each of them sees (B, 1, L, L) or all of them see (B, 1, 1, L), bool.
        """
        hidden = self.vision.pre_layrnorm(tokens)
        barred = torch.zeros(visible.shape, dtype=hidden.dtype, device=hidden.device)
        barred.masked_fill_(~visible, float('-inf'))
        return self.vision.encoder(inputs_embeds=hidden, attention_mask=barred).last_hidden_state

    def project(self, tokens: Tensor) -> Tensor:
        """Unit vectors (N, C) of encoded class tokens (N, D)."""
        features = self.clip.visual_projection(self.vision.post_layernorm(tokens))
        return F.normalize(features.float(), dim=1)
