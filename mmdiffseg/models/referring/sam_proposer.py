"""Everything that Segment Anything finds in an image, from a grid of points.

The procedure of segment-anything's automatic mask generator with its default settings (no crops,
no removal of small regions), on the model of transformers.
"""

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from mmdiffseg.models.latent.text import load_transformer
from mmdiffseg.models.referring.box_nms import box_nms
from mmdiffseg.registry import MODELS

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of ImageNet, in 0 .. 255


def point_grid(side: int) -> Tensor:
    """Centres (side^2, 2) of a grid over the unit square, as (x, y), row by row."""
    centres = (torch.arange(side) + 0.5) / side
    y, x = torch.meshgrid(centres, centres, indexing='ij')
    return torch.stack([x, y], dim=2).flatten(0, 1)


def stability(logits: Tensor, offset: float) -> Tensor:
    """How stable each mask of ``logits`` (N, H, W) is when its threshold moves by an offset.

    Returns:
        IoU (N,) of the mask at +offset and the mask at -offset; nan where both are empty.
    """
    inner, outer = (logits > offset).flatten(1), (logits > -offset).flatten(1)
    return inner.sum(dim=1) / outer.sum(dim=1)


@MODELS.register_module()
class SAMProposer(nn.Module):
    """Masks of everything in an image, best first by SAM's own estimate.

    Example:
        >>> proposer = SAMProposer(checkpoint='facebook/sam-vit-huge')
        >>> proposer(image, 'street.jpg').shape  # image: (H, W, 3) uint8 RGB
        torch.Size([N, H, W])

    Args:
        checkpoint: Folder or hub name, such as ``facebook/sam-vit-huge``, which has the weights of
            ``sam_vit_h_4b8939.pth``; tools/model_converters/sam_to_transformers.py makes a folder
            of such a file.
        points_per_side: Points of the grid along each side.
        max_batch: Number of points to prompt with at once; it bounds the memory.
        pred_iou_thresh: IoU, as SAM estimates it, that a mask must exceed; with 0, nothing is
            dropped, as in segment-anything.
        stability_thresh: Least :func:`stability` of a mask; with 0, nothing is dropped.
        stability_offset: See :func:`stability`.
        box_nms_thresh: IoU of boxes above which the worse of two masks is dropped.
    """

    per_sentence = False

    def __init__(
        self,
        *,
        checkpoint: str,
        points_per_side: int = 32,
        max_batch: int = 64,
        pred_iou_thresh: float = 0.88,
        stability_thresh: float = 0.95,
        stability_offset: float = 1.0,
        box_nms_thresh: float = 0.7,
    ) -> None:
        super().__init__()
        self.sam = load_transformer('SamModel', checkpoint)
        self.points_per_side = points_per_side
        self.max_batch = max_batch
        self.pred_iou_thresh = pred_iou_thresh
        self.stability_thresh = stability_thresh
        self.stability_offset = stability_offset
        self.box_nms_thresh = box_nms_thresh

    def forward(self, image: NDArray, name: str) -> Tensor:
        """Propose masks.

        Args:
            image: (H, W, 3) uint8 RGB.
            name: File name of the image; other proposers need it.

        Returns:
            (N, H, W) bool, on the CPU; N can be 0.
        """
        from torchvision.ops import masks_to_boxes  # heavy, and needed here alone

        size = self.input_size(*image.shape[:2])
        pixels = self.encoder_input(image, size)
        features = self.sam.get_image_embeddings(pixels)  # (1, C, h, w)
        # (P, 2), in pixels of the resized image
        points = point_grid(self.points_per_side) * torch.tensor([size[1], size[0]])
        found = [
            self.masks_at(features, some, size, image.shape[:2])
            for some in points.to(pixels).split(self.max_batch)
        ]
        masks, scores = (torch.cat(part) for part in zip(*found, strict=True))
        return masks[box_nms(masks_to_boxes(masks), scores, self.box_nms_thresh)]

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Size of an image whose longer side fills SAM's square."""
        scale = self.sam.config.vision_config.image_size / max(height, width)
        return int(height * scale + 0.5), int(width * scale + 0.5)

    def encoder_input(self, image: NDArray, size: tuple[int, int]) -> Tensor:
        """Resize, normalise and pad an image to (1, 3, S, S)."""
        square, weight = self.sam.config.vision_config.image_size, next(self.sam.parameters())
        resized = Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR)
        pixels = torch.frombuffer(bytearray(resized.tobytes()), dtype=torch.uint8)
        pixels = (pixels.view(*size, 3) - torch.tensor(MEAN)) / torch.tensor(STD)
        pixels = F.pad(pixels.permute(2, 0, 1), (0, square - size[1], 0, square - size[0]))
        return pixels[None].to(weight)

    def masks_at(
        self, features: Tensor, points: Tensor, size: tuple[int, int], original: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Masks (N, H, W) at points (P, 2), and SAM's estimate of their IoU (N,), on the CPU."""
        output = self.sam(image_embeddings=features, input_points=points[None, :, None])
        scores = output.iou_scores.flatten().float()  # (1, P, 3) -> (3 P,)
        logits = output.pred_masks.flatten(0, 2).float()  # (1, P, 3, h, w) -> (3 P, h, w)
        square = (self.sam.config.vision_config.image_size,) * 2
        masks, kept = [torch.zeros(0, *original, dtype=torch.bool)], []
        for number, score in enumerate(scores.tolist()):
            if self.pred_iou_thresh > 0 and score <= self.pred_iou_thresh:
                continue
            # one at a time, since all of them at the size of the image may not fit the memory
            full = F.interpolate(logits[number, None, None], square, mode='bilinear')
            full = F.interpolate(full[..., : size[0], : size[1]], original, mode='bilinear')[0]
            mask = full > 0  # (1, H, W)
            stable = stability(full, self.stability_offset) >= self.stability_thresh
            if stable and mask.any():
                masks.append(mask.cpu())
                kept.append(number)
        return torch.cat(masks), scores[kept].cpu()
