import torch

from mmdiffseg.models.referring.box_nms import box_nms


def iou(a, b):
    low, high = torch.maximum(a[:2], b[:2]), torch.minimum(a[2:], b[2:])
    common = (high - low).clamp(min=0).prod()
    return common / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - common)


def test_nms_keeps_what_no_better_kept_box_overlaps():
    generator = torch.Generator().manual_seed(0)
    corners = torch.randint(0, 20, (60, 2), generator=generator)
    boxes = torch.cat([corners, corners + torch.randint(5, 15, (60, 2), generator=generator)], 1)
    scores = torch.rand(60, generator=generator)
    kept = []
    for i in scores.argsort(descending=True).tolist():
        if all(iou(boxes[i].float(), boxes[k].float()) <= 0.4 for k in kept):
            kept.append(i)
    assert 5 < len(kept) < 60
    assert box_nms(boxes, scores, 0.4).tolist() == kept


def test_nothing_to_suppress():
    assert box_nms(torch.zeros(0, 4), torch.zeros(0), 0.7).shape == (0,)
    # boxes without area overlap nothing
    assert len(box_nms(torch.ones(2, 4), torch.rand(2), 0.7)) == 2
