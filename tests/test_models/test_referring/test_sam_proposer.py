import pytest
import torch

from mmdiffseg.models.referring.sam_proposer import SAMProposer, point_grid, stability

ANYTHING = dict(pred_iou_thresh=0.0, stability_thresh=0.0, box_nms_thresh=1.0)


def test_points():
    assert point_grid(2).tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    grid = point_grid(32)
    assert grid.shape == (1024, 2) and grid[0, 0] == 1 / 64


def test_stability():
    logits = torch.tensor([[[-3.0, 0.5, 2.0, 3.0]], [[-3.0, -3.0, -3.0, -3.0]]])
    result = stability(logits, 1.0)
    assert result[0] == 2 / 3 and result[1].isnan()


@torch.no_grad()
def test_masks_of_everything(sam, image):
    proposer = SAMProposer(checkpoint=sam, points_per_side=3, **ANYTHING)
    masks = proposer(image, '')
    assert masks.shape[1:] == (40, 56) and masks.dtype == torch.bool and len(masks)
    in_batches = SAMProposer(checkpoint=sam, points_per_side=3, max_batch=4, **ANYTHING)
    assert torch.equal(in_batches(image, ''), masks)


@torch.no_grad()
def test_nothing_good_enough(sam, image):
    proposer = SAMProposer(checkpoint=sam, points_per_side=2, pred_iou_thresh=100.0)
    assert proposer(image, '').shape == (0, 40, 56)


@torch.no_grad()
def test_threshold_of_zero_drops_nothing(sam, image):
    """As segment-anything, although the estimated IoU of these random weights is negative."""
    settings = dict(points_per_side=3, stability_thresh=0.0, box_nms_thresh=1.0)
    proposer = SAMProposer(checkpoint=sam, pred_iou_thresh=0.0, **settings)
    layer = proposer.sam.mask_decoder.iou_prediction_head.proj_out
    layer.bias.data -= 100
    everything = proposer(image, '')
    assert len(everything) > 1
    layer.bias.data += 200
    assert len(proposer(image, '')) == len(everything)
    proposer.pred_iou_thresh = 1e-3
    assert len(proposer(image, '')) == len(everything)
    layer.bias.data -= 200
    assert len(proposer(image, '')) == 0


def test_input_fills_the_square_and_is_padded(sam, image):
    proposer = SAMProposer(checkpoint=sam)
    assert proposer.input_size(40, 56) == (46, 64)
    pixels = proposer.encoder_input(image, (46, 64))
    assert pixels.shape == (1, 3, 64, 64)
    assert (pixels[:, :, 46:] == 0).all() and (pixels[:, :, :46].std() > 0.5)


@torch.no_grad()
@pytest.mark.parametrize('channel', range(3))
def test_colours_are_told_apart(sam, image, channel):
    proposer = SAMProposer(checkpoint=sam)
    grey = image * 0
    bright = grey.copy()
    bright[..., channel] = 255
    pixels = proposer.encoder_input(bright, (46, 64))[0, :, :46]
    mean = torch.tensor([123.675, 116.28, 103.53])
    std = torch.tensor([58.395, 57.12, 57.375])
    expected = (torch.eye(3)[channel] * 255 - mean) / std
    torch.testing.assert_close(pixels.mean(dim=(1, 2)), expected, atol=1e-4, rtol=1e-4)
