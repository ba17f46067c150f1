import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

#: what a browser says where a page does what its own rules forbid
BROKEN = 'Content Security Policy'


@pytest.fixture
def open_page(browser):
    """Open the page of a server; in the end, nothing may have gone wrong unseen."""
    errors, contexts = [], []

    def open_page(server):
        context = browser.new_context(viewport=dict(width=1280, height=900), accept_downloads=True)
        context.set_default_timeout(90_000)  # for a busy machine
        contexts.append(context)
        page = context.new_page()
        page.on('pageerror', lambda error: errors.append(str(error)))
        page.on('console', lambda said: errors.append(said.text) if BROKEN in said.text else None)
        page.goto(server.url)
        page.wait_for_selector('#samples button')
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not errors


def drop(page, content, name='a.png'):
    page.set_input_files('#file', dict(name=name, mimeType='image/png', buffer=content))


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, 'PNG')
    return stream.getvalue()


def ask(page):
    page.click('#go')
    page.wait_for_selector('#status:has-text("Segmented"), #error:visible')


def captions(page):
    return page.locator('#gallery figcaption').all_inner_texts()


def saved(page, button):
    with page.expect_download() as download:
        page.click(button)
    with open(download.value.path(), 'rb') as file:
        return download.value.suggested_filename, file.read()


def test_a_picture_goes_through_the_page(model, serve_page, open_page, picture):
    expected = picture.mean(axis=2) > 127
    with serve_page(model) as server:
        page = open_page(server)
        assert page.inner_text('#model') == 'it: dark, bright'
        drop(page, png(picture), 'two cells.png')
        page.wait_for_selector('#go:enabled')
        page.fill('#seed', '5')
        page.evaluate("steps.value = 7; steps.dispatchEvent(new Event('input'))")
        page.evaluate("generations.value = 3; generations.dispatchEvent(new Event('input'))")
        assert page.inner_text('#steps-value') == '7'
        ask(page)
        assert captions(page) == [
            'picture',
            'prediction',
            'uncertainty',
            'surely object (green), possibly (orange)',
            *(f'sample {number}' for number in (1, 2, 3)),
        ]
        assert page.inner_text('#legend').split() == ['dark', 'bright']
        assert page.inner_text('#frame-value') == '7 of 7'
        name, labels = saved(page, '#save-labels')
        name_of_all, archive = saved(page, '#save-all')
        shown = page.evaluate(
            "Array.from(document.querySelectorAll('#gallery canvas')[1].getContext('2d')"
            '.getImageData(0, 0, 64, 48).data)'
        )
    assert {key: model.calls[0][key] for key in ('steps', 'generations', 'seed')} == dict(
        steps=7, generations=3, seed=5
    )
    assert name == 'two_cells.png' and name_of_all == 'two_cells.zip'
    with Image.open(io.BytesIO(labels)) as read:
        assert read.mode == 'P' and read.getpalette()[:6] == [0, 0, 0, 255, 0, 0]
        assert np.array_equal(np.asarray(read), expected)
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        assert files.testzip() is None
        names = set(files.namelist())
        assert {'labels.png', 'masks.json', 'samples/3.png', 'film/007.png', 'inner.png'} <= names
        assert json.loads(files.read('masks.json'))['image'] == 'two cells.png'
        with Image.open(io.BytesIO(files.read('samples/2.png'))) as read:
            assert np.array_equal(np.asarray(read), expected)
    # bright pixels are red, over grey
    red, green = np.reshape(shown, (48, 64, 4))[..., :2].transpose(2, 0, 1).astype(int)
    assert (red > green).sum() > 0.9 * expected.sum() and not (red > green)[~expected].any()


def test_samples_film_and_colour(model, serve_page, open_page):
    with serve_page(model) as server:
        page = open_page(server)
        page.locator('#samples button').last.click()
        page.wait_for_selector('#go:enabled')
        ask(page)
        before = page.evaluate("document.querySelectorAll('#gallery canvas')[1].toDataURL()")
        page.evaluate("opacity.value = 0; opacity.dispatchEvent(new Event('input'))")
        page.wait_for_timeout(300)
        plain, drawn = page.evaluate(
            "Array.from(document.querySelectorAll('#gallery canvas')).slice(0, 2)"
            '.map((canvas) => canvas.toDataURL())'
        )
        assert before != drawn == plain
        page.evaluate("frame.value = 1; frame.dispatchEvent(new Event('input'))")
        page.wait_for_timeout(100)
        assert page.inner_text('#frame-value') == '1 of 3'
        page.click('#play')
        page.wait_for_selector('#frame-value:text("3 of 3")')


def test_errors_are_shown_and_the_page_goes_on(model, serve_page, open_page, picture):
    with serve_page(model) as server:
        page = open_page(server)
        drop(page, b'no picture at all', 'notes.txt')
        page.wait_for_selector('#go:enabled')
        assert 'this browser cannot show it' in page.inner_text('#hint')
        ask(page)
        assert 'notes.txt is not a picture that can be read' in page.inner_text('#error')
        drop(page, png(picture))
        page.wait_for_selector('#hint:has-text("a.png")')
        ask(page)
        assert page.is_hidden('#error') and 'prediction' in captions(page)


def test_large_pictures_are_made_smaller(model, serve_page, open_page):
    with serve_page(model, pixels=2500) as server:
        page = open_page(server)
        drop(page, png(np.full((200, 50, 3), 200, dtype=np.uint8)))
        page.wait_for_selector('#go:enabled')
        assert '25 x 100 (made smaller, from 50 x 200)' in page.inner_text('#hint')
        ask(page)
        assert page.evaluate("document.querySelector('#gallery canvas').height") == 100


def test_pictures_that_only_the_server_can_read(model, serve_page, open_page, picture):
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, 'TIFF')
    with serve_page(model) as server:
        page = open_page(server)
        drop(page, stream.getvalue(), 'a.tif')
        page.wait_for_selector('#go:enabled')
        ask(page)
        shown = page.evaluate(
            "Array.from(document.querySelector('#gallery canvas').getContext('2d')"
            '.getImageData(0, 0, 64, 48).data)'
        )
    assert np.array_equal(np.reshape(shown, (48, 64, 4))[..., :3], picture)


def test_two_users_at_once(model, serve_page, open_page, picture):
    model.wait = 0.3
    with serve_page(model) as server:
        pages = [open_page(server), open_page(server)]
        for number, page in enumerate(pages):
            drop(page, png(picture[number * 10 :]), f'{number}.png')
            page.wait_for_selector('#go:enabled')
        for page in pages:
            page.click('#go')
        for number, page in enumerate(pages):
            page.wait_for_selector('#gallery figure')
            height = page.evaluate("document.querySelector('#gallery canvas').height")
            assert height == 48 - 10 * number
    assert model.most == 1


def test_words_and_painted_examples_reach_the_model(model, serve_page, open_page, picture):
    model.asks = 'examples'
    with serve_page(model) as server:
        page = open_page(server)
        drop(page, png(picture))
        page.wait_for_selector('#go:enabled')
        ask(page)
        assert page.inner_text('#error').startswith('show what to look for')
        page.click('#example-this')
        box = page.locator('#examples canvas').bounding_box()
        x, y = box['x'] + box['width'] / 4, box['y'] + box['height'] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + box['width'] / 2, y, steps=4)
        page.mouse.up()
        ask(page)
        assert page.is_hidden('#error')
        model.asks = 'text'
        page = open_page(server)
        drop(page, png(picture))
        page.wait_for_selector('#go:enabled')
        page.fill('#text', 'the red one\n')
        ask(page)
    ((_, mask),) = model.calls[0]['examples']
    rows, columns = np.nonzero(mask)
    # a stroke along the middle, from a quarter to three quarters
    assert abs(rows.mean() - 24) < 2 and abs(columns.mean() - 32) < 2
    assert columns.min() < 18 and columns.max() > 46 and mask[:15].sum() == 0
    assert model.calls[1]['text'] == ['the red one']


def test_painted_corrections_reach_the_model(model, serve_page, open_page, picture, monkeypatch):
    asked = []

    def refine(self, image, mask, *, keep, strength, **settings):
        asked.append((mask, keep, settings))
        return self.result(image, 2)

    monkeypatch.setattr(type(model), 'refine', refine, raising=False)
    with serve_page(model) as server:
        page = open_page(server)
        drop(page, png(picture))
        page.wait_for_selector('#go:enabled')
        ask(page)
        page.locator('#refine-painter canvas').scroll_into_view_if_needed()
        box = page.locator('#refine-painter canvas').bounding_box()
        page.mouse.click(box['x'] + box['width'] / 2, box['y'] + box['height'] / 2)
        page.evaluate("document.getElementById('status').textContent = ''")
        page.click('#refine')
        page.wait_for_selector('#status:has-text("Segmented")')
    ((mask, keep, settings),) = asked
    labels = picture.mean(axis=2) > 127
    assert keep.dtype == bool and 0 < keep.sum() < 60 and keep[24, 32]
    assert (mask[keep] == 1).all() and np.array_equal(mask[~keep], labels[~keep])
    assert settings['steps'] == 3
