"""Noise of numpy against noise of torch."""

import numpy as np
import pytest

from mmdiffseg.diffusion import Draws as TorchDraws
from mmdiffseg.runtime.draws import Draws

NAMES = ['cat.jpg/None/8x8/0', 'dog.jpg/None/8x8/1']


@pytest.mark.parametrize('kind', ['normal', 'gumbel', 'uniform'])
@pytest.mark.parametrize('shape', [(3,), (16,), (5, 7, 9), (3, 40, 64)])
def test_noise_is_that_of_torch(kind, shape):
    theirs, ours = TorchDraws.named(NAMES, seed=7), Draws(NAMES, seed=7)
    for name in ('start', 'step0'):  # the second goes on where the first has ended
        expected = getattr(theirs, kind)(name, (2, *shape)).numpy()
        found = ours.draw(kind, name, shape)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=2e-6)


def test_large_maps_are_drawn_in_parts(monkeypatch):
    shape = (3, 11, 13)
    whole = Draws(NAMES, seed=0).draw('normal', 'start', shape)
    monkeypatch.setattr('mmdiffseg.runtime.draws.PART', 32)
    np.testing.assert_array_equal(Draws(NAMES, seed=0).draw('normal', 'start', shape), whole)


def test_noise_depends_on_name_and_seed():
    first = Draws(NAMES, seed=0).draw('normal', 'start', (4, 4))
    assert not np.allclose(first[0], first[1])
    assert not np.allclose(first, Draws(NAMES, seed=1).draw('normal', 'start', (4, 4)))


def test_recorded_noise_is_taken_and_checked():
    given = dict(start=np.ones((2, 3, 4)))
    assert (Draws(NAMES, seed=0, given=given).draw('normal', 'start', (3, 4)) == 1).all()
    with pytest.raises(ValueError, match=r"'start' has the shape \(2, 3, 4\), but \(2, 5\)"):
        Draws(NAMES, seed=0, given=given).draw('normal', 'start', (5,))
