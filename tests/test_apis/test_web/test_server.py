import base64
import gc
import http.client
import io
import json
import os
import socket
import threading
import time
import zlib
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from mmdiffseg import cli
from mmdiffseg.apis.pictures import find_sources
from mmdiffseg.apis.serve import PAGES, PageServer, serve, without_paths
from mmdiffseg.apis.web.answers import time_limit
from mmdiffseg.apis.web.samples import DRAWN, sample_png


class Client:
    def __init__(self, server):
        self.server = server

    def ask(self, method, path, body=None, headers=()):
        connection = http.client.HTTPConnection('127.0.0.1', self.server.server_address[1])
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.ask('GET', path, headers=headers.items())

    def segment(self, **question):
        return self.post(json.dumps(question))

    def post(self, body, **headers):
        headers = {'Content-Type': 'application/json', **headers}
        status, _, body = self.ask('POST', '/api/segment', body, headers.items())
        return status, json.loads(body)


@pytest.fixture
def serving(serve_page):
    """Serve a model within limits, and give a client."""

    @contextmanager
    def serving_within(model, **limits):
        with serve_page(model, **limits) as server:
            yield Client(server)

    return serving_within


@pytest.fixture
def client(serving, model):
    with serving(model, pixels=10_000, body=200_000, generations=4, steps=20) as client:
        yield client


def encode(pixels, kind='PNG'):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return base64.b64encode(stream.getvalue()).decode()


def read(packed):
    content = zlib.decompress(base64.b64decode(packed['data']))
    return np.frombuffer(content, packed['dtype']).reshape(packed['shape'])


def test_the_page_and_its_files_are_served(client):
    for path in PAGES:
        status, headers, body = client.get(path)
        assert status == 200 and body and 'Python' not in headers['Server']
        assert "default-src 'self'" in headers['Content-Security-Policy']
    assert {'/', '/index.html', '/page.js', '/page.css', '/engine.js'} <= set(PAGES)


@pytest.mark.parametrize(
    'path',
    [
        '/../serve.py',
        '/%2e%2e/serve.py',
        '/..%2f..%2fserve.py',
        '/etc/passwd',
        '//etc/passwd',
        '/samples/../index.html',
        '/samples/%2e%2e%2findex.html',
        '/static/page.js',
        '/page.js/',
    ],
)
def test_nothing_else_is_served(client, path):
    status, _, body = client.get(path)
    assert status == 404 and json.loads(body) == dict(error='there is no such page')


def test_the_page_learns_what_the_model_has(client):
    status, _, body = client.get('/api/model')
    said = json.loads(body)
    assert status == 200 and said['settings'] == dict(steps=3, generations=2, seed=0)
    assert said['films'] and not said['refines'] and said['asks'] is None
    assert said['name'] == 'it' and b'secret' not in body


def test_samples_are_pictures(client):
    said = json.loads(client.get('/api/model')[2])
    assert DRAWN in said['samples']
    for name in said['samples']:
        status, headers, body = client.get(f'/samples/{name.replace(" ", "%20")}')
        assert status == 200 and headers['Content-Type'] == 'image/png'
        assert max(Image.open(io.BytesIO(body)).size) <= 320


def test_a_picture_is_segmented(client, model, picture):
    status, said = client.segment(
        image=encode(picture), name='a.png', steps=5, generations=3, seed=7, film=True
    )
    expected = picture.mean(axis=2) > 127
    assert status == 200 and np.array_equal(read(said['labels']), expected)
    assert read(said['samples']).shape == (3, 48, 64)
    assert read(said['film']).shape == (5, 48, 64)
    assert np.array_equal(read(said['inner']), expected) and read(said['outer']).all()
    assert set(read(said['uncertainty']).ravel()) == {51}
    assert [row['category'] for row in said['rle']] == ['dark', 'bright']
    assert model.calls == [dict(steps=5, generations=3, seed=7, text=None, examples=None)]


def test_what_the_browser_cannot_show_comes_back(client, picture):
    status, said = client.segment(image=encode(picture, 'TIFF'), echo=True)
    shown = Image.open(io.BytesIO(base64.b64decode(said['image'])))
    assert status == 200 and np.array_equal(np.asarray(shown), picture)


def test_text_and_examples_reach_the_model(client, model, picture):
    mask = dict(shape=[48, 64], dtype='uint8')
    mask['data'] = base64.b64encode(zlib.compress(bytes([0, 1]) * (24 * 64))).decode()
    example = dict(image=encode(picture), mask=mask)
    status, _ = client.segment(image=encode(picture), text='a cat\n a dog ', examples=[example])
    (call,) = model.calls
    assert status == 200 and call['text'] == ['a cat', 'a dog']
    ((source, area),) = call['examples']
    assert np.array_equal(source.read().pixels, picture)
    assert area.shape == (48, 64) and area.sum() == 24 * 64


@pytest.mark.parametrize(
    'question, sentence',
    [
        (dict(image=None), 'the picture picture is missing'),
        (dict(image='???'), 'the picture picture is damaged'),
        (dict(image=base64.b64encode(b'%!PS-Adobe EPSF').decode()), 'is not a picture that can be'),
        (dict(name='x' * 400), 'name may have 300 letters here, got 400'),
        (dict(name=3), 'name must be a text, got 3'),
        (dict(steps=0), 'steps must be a whole number from 1 to 20 here, got 0'),
        (dict(steps=21), 'steps must be a whole number from 1 to 20 here, got 21'),
        (dict(steps=True), 'got True'),
        (dict(generations=5), 'generations must be a whole number from 1 to 4 here, got 5'),
        (dict(seed=-1), 'seed must be a whole number from 0'),
        (dict(seed='1' * 99), "got '111"),
        (dict(film=1), 'film must be true or false, got 1'),
        (dict(text=[1]), 'text must be a text, got'),
        (dict(examples=[]), 'examples must be a list of 1 to 4'),
        (dict(examples=[3]), 'example 1 must have an image and a mask'),
        (dict(mask=dict(shape=[9], dtype='uint8', data='')), 'the mask is damaged'),
        (dict(mask=dict(shape=[10**9, 10**9], dtype='uint8', data='')), 'the mask is damaged'),
        (dict(strength=2), 'strength must be a number above 0 and up to 1, got 2'),
        (dict(mask='all'), 'the mask is damaged'),
        (dict(config='x.py'), "the request has no 'config'"),
    ],
)
def test_bad_questions_get_a_sentence(client, model, picture, question, sentence):
    status, said = client.segment(**{'image': encode(picture), **question})
    assert status == 400 and sentence in said['error'] and not model.calls
    assert len(said['error']) < 200


@pytest.mark.parametrize('body', ['', '[]', '{', '[' * 100_000, 'null', '\xff'])
def test_what_is_no_question_gets_a_sentence(client, body):
    status, said = client.post(body.encode('latin-1'))
    assert status == 400 and 'JSON' in said['error']


def test_a_truncated_picture_is_named(client, picture):
    content = base64.b64decode(encode(picture))
    cut = base64.b64encode(content[: len(content) // 2]).decode()
    status, said = client.segment(image=cut, name='cut.png')
    assert status == 400 and 'cut.png' in said['error']


def test_large_pictures_are_refused_before_they_are_decoded(client, model):
    bomb = encode(np.zeros((2000, 2000, 3), dtype=np.uint8))
    status, said = client.segment(image=bomb, name='bomb.png')
    assert status == 400 and not model.calls
    assert 'bomb.png has 2000 x 2000 pixels, and a picture may have 10,000 here' in said['error']


def test_large_requests_are_refused(client):
    status, said = client.post(b' ' * 300_000)
    assert status == 413 and 'has 300,000 bytes and may have 200,000' in said['error']
    status, said = client.post(b'', **{'Content-Length': '-1'})
    assert status == 411
    with socket.create_connection(client.server.server_address) as line:
        line.sendall(
            b'POST /api/segment HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n'
            b'Content-Length: 100\r\n\r\n{}'
        )
        line.shutdown(socket.SHUT_WR)
        assert b'ended too early' in line.makefile('rb').read()


def test_large_films_are_refused(serving, model, picture):
    with serving(model, film=9000) as client:
        status, said = client.segment(image=encode(picture), film=True)
        assert (
            status == 400 and 'a film of 3 steps of this picture would have 9,216' in said['error']
        )
        assert client.segment(image=encode(picture), film=True, steps=2)[0] == 200


def test_only_the_page_of_this_server_may_ask(client, picture):
    port = client.server.server_address[1]
    body = json.dumps(dict(image=encode(picture)))
    here = f'localhost:{port}'
    assert client.post(body, Host=here, Origin=f'http://{here}')[0] == 200
    assert client.post(body, Host='evil.example')[0] == 403
    assert client.get('/', Host=f'evil.example:{port}')[0] == 403
    assert client.get('/', Host='')[0] == 403
    assert client.post(body, Host=here, Origin='http://evil.example')[0] == 403
    assert client.post(body, Host=here, Origin='null')[0] == 403
    # what a form of another page can send without asking first
    assert client.post(body, **{'Content-Type': 'text/plain'})[0] == 415


def test_other_methods_are_refused_in_json(client):
    status, _, body = client.ask('DELETE', '/')
    assert status == 501 and 'error' in json.loads(body)


def test_a_failing_model_tells_no_paths(client, model, picture, monkeypatch):
    def fail(*args, **options):
        raise RuntimeError('/home/somebody/model.py failed')

    monkeypatch.setattr(model, 'result', fail)
    status, said = client.segment(image=encode(picture))
    assert status == 500 and said['error'].startswith('the model failed with RuntimeError')
    assert 'somebody' not in said['error']
    sentence = without_paths("there is no config '/home/somebody/a.py' and/or C:\\Users\\me\\b.py")
    assert sentence == "there is no config 'a file' and/or a file"


def test_users_take_turns(serving, model, picture):
    model.wait = 0.1
    with serving(model) as client:
        answers = in_parallel(4, lambda: client.segment(image=encode(picture)))
    assert [status for status, _ in answers] == [200] * 4 and model.most == 1


def test_the_queue_is_bounded(serving, model, picture):
    model.wait = 0.5
    with serving(model, waiting=1) as client:
        answers = in_parallel(4, lambda: client.segment(image=encode(picture)))
    assert sorted(status for status, _ in answers) == [200, 200, 503, 503]
    sentences = [said['error'] for status, said in answers if status == 503]
    assert sentences == ['2 requests are waiting already: try again in a minute'] * 2


def test_patience_is_bounded(serving, model, picture):
    model.wait = 0.5
    with serving(model, patience=0.05) as client:
        answers = in_parallel(2, lambda: client.segment(image=encode(picture)))
    assert sorted(status for status, _ in answers) == [200, 503]


def in_parallel(count, call):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(call())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_connections_are_bounded(serving, model):
    with serving(model, connections=2) as client:
        lines = [socket.create_connection(client.server.server_address) for _ in range(2)]
        time.sleep(0.1)
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            client.get('/')
        for line in lines:
            line.close()
        time.sleep(0.1)
        assert client.get('/')[0] == 200


def test_time_is_bounded(tiny, picture):
    with pytest.raises(TimeoutError, match='this takes more than 0 s: take fewer steps'):
        with time_limit(0.0, tiny):
            tiny(picture)
    tiny(picture, steps=1)


def test_200_requests_leave_nothing_behind(serving, model, picture, tmp_path, monkeypatch):
    monkeypatch.setenv('TMPDIR', str(tmp_path))
    large = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    with serving(model) as client:
        question = json.dumps(dict(image=encode(large), film=True))
        sizes = []
        for number in range(200):
            assert client.post(question)[0] == 200
            if number in (49, 199):
                gc.collect()
                sizes.append(memory())
        assert threading.active_count() < 10
    # 150 pictures alone would be 28 MiB
    assert sizes[1] - sizes[0] < 8 * 2**20
    assert not list(tmp_path.iterdir())


def memory():
    """Bytes of this process that are in memory."""
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def test_the_command_serves_until_it_is_interrupted(model, monkeypatch, capsys):
    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr('mmdiffseg.commands.serve.load_model', lambda args: model)
    monkeypatch.setattr(PageServer, 'serve_forever', interrupt)
    args = cli.parse_args(['serve', 'nuclei', '--port', '0'])
    args.run(args)
    assert capsys.readouterr().out.startswith('open http://127.0.0.1:')


def test_a_port_that_is_taken_is_named(model, client):
    port = client.server.server_address[1]
    with pytest.raises(ValueError, match=f'127.0.0.1:{port} cannot be listened at .*: choose ano'):
        serve(model, port=port)
    with pytest.raises(ValueError, match='127.0.0.1:99999 cannot be listened at'):
        serve(model, port=99999)


def test_a_real_model_answers(serving, tiny):
    content = base64.b64encode(sample_png(DRAWN)).decode()
    with serving(tiny) as client:
        said = json.loads(client.get('/api/model')[2])
        assert said['settings'] == dict(steps=2, generations=2, seed=0) and said['films']
        status, said = client.segment(image=content, name='cells', generations=3, film=True)
        assert status == 200, said
        status, refused = client.segment(image=content, text='a cell')
        assert status == 400 and 'takes no text' in refused['error']
    alone = tiny(next(find_sources(Image.open(io.BytesIO(sample_png(DRAWN))))), generations=3)
    assert read(said['samples']).shape == alone.samples.shape == (3, 256, 256)
    film = read(said['film'])
    # the film shows the first sample, of the name that the page has given
    # but for pixels whose classes are nearly as likely as each other: one map rounds otherwise
    assert (film[-1] == read(said['samples'])[0]).mean() > 0.999
