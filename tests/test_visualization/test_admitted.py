import numpy as np

from mmdiffseg.visualization import admission_map, curve_picture, outline_overlay
from mmdiffseg.visualization.admitted import INNER, LEVELS, OUTER


def square(low, high):
    mask = np.zeros((60, 60), bool)
    mask[low:high, low:high] = True
    return mask


def test_outlines_lie_on_the_edge_of_their_masks():
    image = np.full((60, 60, 3), 100, np.uint8)
    masks = dict(inner=square(20, 40), outer=square(10, 50))
    drawn = outline_overlay(image, masks, dict(inner=INNER, outer=OUTER))
    assert tuple(drawn[20, 30]) == INNER and tuple(drawn[30, 10]) == OUTER
    assert (drawn[30, 30] == 100).all() and (drawn[5, 5] == 100).all()
    assert (image == 100).all()


def test_every_level_shows_what_it_admits_beyond_the_one_before():
    image = np.full((60, 60, 3), 100, np.uint8)
    drawn = admission_map(image, [square(20, 40), square(15, 45), square(10, 50)])
    seen = [drawn[30, 30], drawn[30, 17], drawn[30, 12]]
    for colour, level in zip(seen, LEVELS, strict=True):
        assert np.abs(colour - (45 + 0.55 * np.array(level))).max() <= 1
    assert (drawn[5, 5] == 100).all()


def test_a_plot_for_every_quantity():
    curves = {name: {'model': ([0, 1], [0, 1])} for name in ('a', 'b', 'c')}
    one, three = (curve_picture({k: curves[k] for k in keys}, xlabel='x') for keys in ('a', 'abc'))
    assert three.shape[0] == 2 * one.shape[0] and three.shape[1] == 2 * one.shape[1]
    # the fourth place stays empty
    assert (three[three.shape[0] // 2 + 5 :, three.shape[1] // 2 + 5 :] == 255).all()
