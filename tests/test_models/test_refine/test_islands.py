import torch

from mmdiffseg.models.refine.islands import without_islands


def test_only_changes_at_the_outline_stay():
    mask = torch.zeros(12, 12, dtype=torch.bool)
    mask[2:8, 2:8] = True
    samples = mask.float().repeat(2, 1, 1) * 0.8 + 0.1
    samples[0, 4, 4] = 0.2  # a hole
    samples[0, 10, 10] = 0.7  # an island
    samples[0, 4:6, 8:11] = 0.6  # grows out of the outline
    samples[1, 1, 1] = 0.5  # touches a corner
    samples[1, 7, 7] = 0.4  # the corner inside
    found = without_islands(samples, mask)
    expected = samples.clone()
    expected[0, 4, 4], expected[0, 10, 10] = 1, 0
    assert torch.equal(found, expected)


def test_a_mask_that_fills_its_box_has_no_outline():
    samples = torch.full((1, 6, 6), 0.9)
    samples[0, 2, 2] = 0.1
    assert without_islands(samples, torch.ones(6, 6, dtype=torch.bool))[0, 2, 2] == 1
