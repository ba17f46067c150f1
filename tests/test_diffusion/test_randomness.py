import pytest
import torch

from mmdiffseg.diffusion import randn, sample_generator


def test_noise_belongs_to_seed_and_key():
    def noise(seed, key):
        return randn((1, 8), generator=[sample_generator(seed, key)])

    assert torch.equal(noise(0, 'a.png'), noise(0, 'a.png'))
    assert not torch.equal(noise(0, 'a.png'), noise(0, 'b.png'))
    assert not torch.equal(noise(0, 'a.png'), noise(1, 'a.png'))


def test_rows_do_not_depend_on_their_neighbours():
    keys = ['a', 'b', 'c']
    together = randn((3, 4, 5), generator=[sample_generator(7, key) for key in keys])
    alone = randn((1, 4, 5), generator=[sample_generator(7, 'c')])
    assert torch.equal(together[2:], alone)


def test_the_number_of_generators_is_checked():
    with pytest.raises(ValueError, match='2 generators for a batch of 3'):
        randn((3, 4), generator=[torch.Generator(), torch.Generator()])
