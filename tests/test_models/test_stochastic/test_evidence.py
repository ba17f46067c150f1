import pytest
import torch

from mmdiffseg.models.stochastic.evidence import Evidence


def build(channels=1):
    torch.manual_seed(0)
    evidence = Evidence(
        map_channels=2, image_channels=2, channels=channels, emb_channels=8, widths=(3, 3, 3)
    )
    torch.nn.init.zeros_(evidence.gains.weight)
    torch.nn.init.zeros_(evidence.gains.bias)
    return evidence


def test_an_untrained_network_finds_nothing():
    evidence = build(channels=4)
    emb, maps = evidence(
        torch.randn(2, 2, 8, 8), evidence.patterns(torch.randn(2, 2, 8, 8)), torch.randn(1, 8)
    )
    assert emb.shape == (2, 8)
    assert all((part == 0).all() for part in maps)


@pytest.mark.parametrize('size', [16, 64])
def test_noise_is_as_strong_in_every_sum(size):
    """At every level, in the whole, and whatever the size; signals grow with the area."""
    evidence = build()
    seen = []
    evidence.whole.register_forward_hook(lambda module, given, out: seen.append(given[0][:, 0]))
    for layer in evidence.levels:
        layer.register_forward_hook(lambda module, given, out: seen.append(given[0]))
    noise = torch.randn(256, 2, size, size)
    pattern = torch.full((1, 2, size, size), 0.1)
    evidence(noise, pattern.expand(256, -1, -1, -1), torch.zeros(1, 8))
    *levels, whole = (part.sinh() for part in seen)
    for part in (*levels, whole):
        assert part.std().item() == pytest.approx(0.1 * 2**0.5, rel=0.15)
    seen.clear()
    evidence(pattern, pattern, torch.zeros(1, 8))
    *levels, whole = (part.sinh().mean().item() for part in seen)
    assert levels[2] / levels[0] == pytest.approx(4) and whole / levels[0] == pytest.approx(size)
