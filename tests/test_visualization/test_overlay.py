import numpy as np
import pytest

from mmdiffseg.visualization import error_map, heat_overlay, label_overlay, segment_overlay
from mmdiffseg.visualization.overlay import borders

PALETTE = [(0, 0, 0), (200, 0, 0)]


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)


def test_label_overlay_colours_classes_and_leaves_ignored_pixels_grey(image):
    labels = np.zeros((5, 7), dtype=np.uint8)
    labels[:, 3:] = 1
    labels[:, 6] = 255
    picture = label_overlay(image, labels, PALETTE, opacity=1.0)
    assert picture.shape == image.shape and picture.dtype == np.uint8
    assert (picture[:, 4] == (200, 0, 0)).all() and (picture[:, 0] == 0).all()
    assert np.abs(picture[:, 6] - image[:, 6].mean(axis=1, keepdims=True)).max() <= 1


def test_label_overlay_names_a_label_without_colour(image):
    with pytest.raises(ValueError, match='label 2 has no colour: the palette holds 2'):
        label_overlay(image, np.full((5, 7), 2), PALETTE)


def test_segment_overlay_tells_objects_of_one_class_apart(image):
    ids = np.full((5, 7), 255)
    ids[:, :2], ids[:, 2:4] = 1001, 2001
    picture = segment_overlay(image, ids, PALETTE, opacity=1.0)
    assert (picture[:, [0, 2]] == (200, 0, 0)).all()
    assert (picture[:, 1] == (80, 0, 0)).all()  # the line between the two
    assert np.abs(picture[:, 6] - image[:, 6].mean(axis=1, keepdims=True)).max() <= 1
    nothing = segment_overlay(image, np.full((5, 7), 2), PALETTE)
    assert (nothing[..., 0] == nothing[..., 1]).all()


def test_heat_overlay_glows_only_where_it_is_hot(image):
    heat = np.zeros((5, 7))
    heat[2, 3] = 1.0
    picture = heat_overlay(image, heat).astype(int)
    cold = picture[0, 0]
    assert cold[0] == cold[1] == cold[2] <= 128
    assert picture[2, 3, 0] > 200 and picture[2, 3, 2] < picture[2, 3, 0]


def test_error_map_tells_right_wrong_and_unknown_apart(image):
    labels, target = np.zeros((5, 7), dtype=int), np.zeros((5, 7), dtype=int)
    target[0, 0], target[1, 1] = 1, 255
    picture = error_map(image, labels, target).astype(int)
    assert picture[0, 0, 0] > picture[0, 0, 1] + 50
    assert picture[2, 2, 1] > picture[2, 2, 0]
    assert picture[1, 1, 0] == picture[1, 1, 1] == picture[1, 1, 2]


def test_borders_lie_between_different_labels():
    labels = np.array([[0, 0, 1], [0, 0, 1]])
    assert borders(labels).tolist() == [[False, True, False], [False, True, False]]
