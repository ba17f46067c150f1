import numpy as np
import pytest
from PIL import Image

from mmdiffseg.visualization import panel, write_film
from mmdiffseg.visualization.panel import GAP


def flat(colour, size=(30, 40)):
    return np.full((*size, 3), colour, dtype=np.uint8)


def test_panel_places_every_picture_under_its_caption():
    page = panel({'red': flat((255, 0, 0)), 'blue': flat((0, 0, 255))}, cell_width=80)
    assert page.shape[1] == 2 * 80 + 3 * GAP and page.dtype == np.uint8
    red, blue = (page == (255, 0, 0)).all(-1), (page == (0, 0, 255)).all(-1)
    assert red.sum() == blue.sum() == 80 * 60
    assert np.nonzero(red)[1].max() < np.nonzero(blue)[1].min()


def test_panel_breaks_rows_and_explains_colours():
    pictures = {str(i): flat((9, 9, 9)) for i in range(5)}
    plain = panel(pictures, columns=3, cell_width=80)
    assert (plain == 9).all(-1).sum() == 5 * 80 * 60
    legend = {f'class {i}': (i, 200, 0) for i in range(12)}
    explained = panel(pictures, columns=3, cell_width=80, legend=legend)
    assert explained.shape[0] > plain.shape[0] and explained.shape[1] == plain.shape[1]
    for colour in legend.values():
        assert (explained == colour).all(-1).any()


def test_panel_refuses_pictures_of_different_sizes():
    with pytest.raises(ValueError, match=r'one size .*\(30, 40\), \(30, 41\)'):
        panel({'a': flat(0), 'b': flat(0, (30, 41))})


def test_film_holds_its_last_frame(tmp_path):
    path = tmp_path / 'film.gif'
    write_film(path, [flat((255, 0, 0)), flat((0, 255, 0)), flat((0, 0, 255))], seconds=0.5)
    with Image.open(path) as film:
        durations = []
        for index in range(film.n_frames):
            film.seek(index)
            durations.append(film.info['duration'])
    assert durations == [500, 500, 2000]
