from pathlib import Path

import pytest
import torch

from mmdiffseg.diffusion import CosineBetas, Draws, MaskSetEncoder, corrupt, fill_slots

DATA = Path(__file__).parents[1] / 'data'


def test_corruption_equals_the_recorded_one():
    schedule = CosineBetas()
    for case in torch.load(DATA / 'dformer_corruption.pt'):
        encoder = MaskSetEncoder(scale=case['scale'])
        draws = Draws({name: case[name][None] for name in ('padding', 'order')})
        masks = fill_slots(case['gt'], 12, draws)
        alpha, sigma = schedule.alpha_sigma(case['t'])
        z_t = corrupt(encoder.encode(masks, draws)[None], case['noise'][None], alpha, sigma)
        assert torch.equal(encoder.to_soft_masks(z_t)[0], case['soft_masks'])


def test_objects_and_random_masks_share_the_slots():
    draws = Draws(generator=torch.Generator().manual_seed(0))
    objects = torch.zeros(3, 40, 50, dtype=torch.bool)
    for i, mask in enumerate(objects):
        mask[i] = True
    slots = fill_slots(objects, 20, draws)
    assert slots.shape == (20, 40, 50) and slots.dtype == torch.bool
    found = [[torch.equal(slot, mask) for slot in slots] for mask in objects]
    assert [row.count(True) for row in found] == [1, 1, 1]
    places = [row.index(True) for row in found]
    assert places != [0, 1, 2]
    rest = slots[[i for i in range(20) if i not in places]].float()
    assert rest.mean(dim=(1, 2)).sub(0.5).abs().max() < 0.05
    again = fill_slots(objects, 20, draws)
    assert not torch.equal(slots, again)


@pytest.mark.parametrize('count', [0, 7, 12])
def test_any_number_of_objects_fits(count):
    objects = torch.eye(12, dtype=torch.bool)[:count, :, None]  # (n, 12, 1), all different
    slots = fill_slots(objects, 7, Draws())
    assert slots.shape == (7, 12, 1)
    if count >= 7:  # nothing but objects, each at most once
        assert slots.sum(dim=(1, 2)).tolist() == [1] * 7
        assert slots.any(dim=0).sum() == 7


def test_binary_encoding():
    encoder = MaskSetEncoder(scale=0.1)
    masks = torch.tensor([[[True, False]]])
    x0 = encoder.encode(masks, Draws())
    torch.testing.assert_close(x0, torch.tensor([[[0.1, -0.1]]]))
    assert torch.equal(x0 > 0, masks)
    x0 = encoder.encode_output(torch.tensor([40.0, 0.0, -40.0]))
    torch.testing.assert_close(x0, torch.tensor([0.1, 0.0, -0.1]))
    signals = torch.tensor([-3.0, -0.05, 0.0, 0.1, 2.0], dtype=torch.float64)
    soft = encoder.to_soft_masks(signals)
    torch.testing.assert_close(soft, torch.tensor([0.0, 0.25, 0.5, 1.0, 1.0]))


def test_random_shuffle_keeps_to_the_halves_of_the_range():
    encoder = MaskSetEncoder(encoding='random_shuffle', scale=2.0)
    masks = torch.rand(2, 100, 100) < 0.3
    x0 = encoder.encode(masks, Draws.named(['a', 'b'], seed=0))
    assert torch.equal(x0 > 0, masks)
    for values, low in ((x0[masks], 0.0), (x0[~masks], -2.0)):
        assert low <= values.min() < low + 0.01 and low + 1.99 < values.max() <= low + 2
        assert values.mean().item() == pytest.approx(low + 1, abs=0.03)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="encoding must be one of .* got 'shuffle'"):
        MaskSetEncoder(encoding='shuffle')
    with pytest.raises(ValueError, match='scale must be positive, got 0'):
        MaskSetEncoder(scale=0)
