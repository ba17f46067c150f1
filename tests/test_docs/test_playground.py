import functools
import http.server
import importlib.util
import io
import json
import shutil
import subprocess
import sys
import threading
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

BUILD = Path(__file__).parents[2] / 'docs/playground/build.py'
DEFAULTS = dict(steps=3, generations=3, max_batch=2, seed=0)
GAUSSIAN = [
    dict(t=0.9, z=[0.5], x0=[0.4], noise=[0.3]),
    dict(t=0.5, z=[0.4, 0.1], x0=[0.5, -0.2], noise=[0.2]),
    dict(t=0.1),
]
CATEGORICAL = [dict(t=t, jump=[share, 0.5]) for t, share in ((9, 0.4), (5, 0.6), (1, 0.9))]
PLAIN = dict(
    channels='RGB',
    mean=[100.0, 110.0, 120.0],
    std=[60.0, 61.0, 62.0],
    pad_value=0,
    pad_divisor=16,
    pad_size=None,
    resize=None,
)
SAMPLES = dict(kind='samples', classes=3, uncertainty='entropy')
CLASSES = dict(kind='classes', classes=3, threshold=None)
#: a chain that draws each of four states
CHAIN = dict(
    kind='categorical',
    states=4,
    prior=[0.4, 0.3, 0.2, 0.1],
    state='sample',
    final='sample',
    readout=SAMPLES,
)
#: what an export says of models that draw, average, or look through windows
MODELS = dict(
    categorical=CHAIN,
    argmax=dict(
        CHAIN,
        state='expected',
        final='argmax',
        readout=dict(SAMPLES, uncertainty='variance'),
        windows=dict(size=[32, 32], stride=[24, 24]),
    ),
    common=dict(CHAIN, coupling='common'),
    lasting=dict(CHAIN, coupling='common', persistence=0.7),
    # the last step draws nothing, but its graph still asks for the number
    common_probs=dict(CHAIN, coupling='common', final='probs'),
    masks=dict(
        kind='gaussian',
        stochastic=True,
        readout=dict(kind='masks', classes=2, scale=1.0, threshold=0.5),
        pictures=dict(PLAIN, channels='BGR', mean=[127.0], std=[128.0]),
    ),
    every=dict(
        kind='gaussian',
        stochastic=False,
        readout=dict(CLASSES, averaged='every', uncertainty='mutual_information'),
    ),
    output=dict(
        kind='gaussian',
        stochastic=True,
        readout=dict(CLASSES, averaged='output', uncertainty='change'),
    ),
)


def write_model(folder, name, meta):
    """Write a small model by hand, as an export would."""
    onnx = pytest.importorskip('onnx')
    from mmdiffseg.runtime.folder import write_loop

    told = MODELS[name]
    categorical = told['kind'] == 'categorical'
    classes = told['readout']['classes']
    channels = 4 if categorical else (1 if told['readout']['kind'] == 'masks' else classes)
    outputs = classes if categorical else channels
    rng = np.random.default_rng(len(name))

    def node(kind, inputs, output, **options):
        return onnx.helper.make_node(kind, inputs, [output], **options)

    def constant(key, array):
        return onnx.numpy_helper.from_array(np.asarray(array, dtype=np.float32), key)

    def conv(key, source, output, shape, **options):
        weights = constant(key, rng.normal(0, 0.5, shape))
        return weights, node('Conv', [source, key], output, pads=[1, 1, 1, 1], **options)

    def save(key, steps, weights, inputs, outputs):
        def values(kinds):
            return [onnx.helper.make_tensor_value_info(n, k, s) for n, k, s in kinds]

        graph = onnx.helper.make_graph(steps, key, values(inputs), values(outputs), weights)
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid('', 18)])
        model.ir_version = 9
        onnx.checker.check_model(model)
        onnx.save(model, folder / f'{key}.onnx')
        names = [[entry[0] for entry in side] for side in (inputs, outputs)]
        return dict(file=f'{key}.onnx', inputs=names[0], outputs=names[1])

    def floats(key, channels):
        return key, onnx.TensorProto.FLOAT, ['rows', channels, 'h', 'w']

    folder.mkdir(exist_ok=True)
    weights, first = conv('w', 'image', 'raw', (4, 3, 3, 3), strides=[2, 2])
    encoder = save(
        'encoder',
        [first, node('Tanh', ['raw'], 'context0')],
        [weights],
        [floats('image', 3)],
        [floats('context0', 4)],
    )
    one, look = conv('w1', 'z_t', 'seen', (outputs, channels, 3, 3))
    two, read = conv('w2', 'context0', 'known', (outputs, 4, 3, 3))
    steps = [
        look,
        read,
        node('Cast', ['t'], 'time', to=onnx.TensorProto.FLOAT),
        node('Mul', ['time', 'tenth'], 'late'),
        node('Sum', ['seen', 'known', 'late'], 'output'),
        node('Softmax', ['output'], 'probability', axis=1),
    ]
    weights = [one, two, constant('tenth', [0.1])]
    kind = onnx.TensorProto.INT64 if categorical else onnx.TensorProto.FLOAT
    inputs = [floats('z_t', channels), ('t', kind, [1])]
    said = [floats('output', outputs), floats('probability', outputs)]
    if categorical:
        inputs.append(('jump', onnx.TensorProto.FLOAT, [2, 1, 1, 1, 1]))
        said.append(floats('posterior', 4))
        weights.append(constant('hidden', [[[[0.2]]]]))
        # some of the answer, some of the state before
        steps += [
            node('Gather', ['jump', 'zero'], 'part', axis=0),
            node('Squeeze', ['part', 'zero'], 'share'),
            node('Slice', ['z_t', 'zero', 'one', 'axis'], 'other'),
            node('Mul', ['other', 'hidden'], 'last'),
            node('Concat', ['probability', 'last'], 'states', axis=1),
            node('Mul', ['states', 'share'], 'new'),
            node('Sub', ['unit', 'share'], 'rest'),
            node('Mul', ['z_t', 'rest'], 'old'),
            node('Add', ['new', 'old'], 'moved'),
        ]
        if told.get('coupling') == 'common':  # each number moves all states of its map
            inputs.append(('clean', onnx.TensorProto.FLOAT, ['rows', 1, 1]))
            weights.append(constant('weights', [[[[0.9]], [[0.1]], [[0.5]], [[0.2]]]]))
            steps += [
                node('Unsqueeze', ['clean', 'axis'], 'numbers'),
                node('Mul', ['numbers', 'weights'], 'chosen'),
                node('Max', ['chosen', 'nothing'], 'given'),
                node('Add', ['moved', 'given'], 'posterior'),
            ]
            weights.append(constant('nothing', [0.0]))
        else:
            steps.append(node('Identity', ['moved'], 'posterior'))
        for key, value in (('zero', 0), ('one', 1), ('axis', 1)):
            weights.append(onnx.numpy_helper.from_array(np.array([value]), key))
        weights.append(constant('unit', [1.0]))
    else:
        said.append(floats('x0', channels))
        steps.append(node('Tanh', ['output'], 'x0'))
    step = save('step', steps, weights, [*inputs, floats('context0', 4)], said)
    loop = dict(
        mmdiffseg='test',
        format='onnx',
        size=None,
        pictures=PLAIN,
        windows=None,
        defaults=DEFAULTS,
        align_corners=False,
        integer_times=categorical,
        map=[channels, ['H', 2], ['W', 2]],
        chains={'3': CATEGORICAL if categorical else GAUSSIAN},
        graphs=dict(encoder=encoder, step=step),
        meta=meta,
    )
    write_loop(folder, {**loop, **told})


META = dict(
    classes=['one', 'two', 'three'], palette=[[0, 0, 0], [255, 0, 0], [0, 0, 255]], source='tiny'
)


@pytest.fixture(scope='module')
def page_folder(tmp_path_factory):
    """The playground, with the archive that npm fetches."""
    pytest.importorskip('onnxruntime', reason='the playground is compared with onnxruntime')
    folder = tmp_path_factory.mktemp('playground')
    write_model(folder / 'exported', 'categorical', META)
    if shutil.which('npm') is None:
        pytest.skip('npm fetches onnxruntime-web for the playground: install npm')
    command = [sys.executable, BUILD, folder / 'exported', '--out', folder / 'page']
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if 'npm cannot fetch' in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return folder / 'page'


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextmanager
def file_server(folder):
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f'http://127.0.0.1:{server.server_address[1]}/'
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def page(browser):
    """A page whose errors fail the test."""
    errors = []
    with browser.new_context(accept_downloads=True) as context:
        context.set_default_timeout(120_000)
        page = context.new_page()
        page.on('pageerror', lambda error: errors.append(str(error)))
        yield page
    assert not errors


def segment(page, content, name='deep.png'):
    """The ZIP of what the page says of a picture."""
    page.wait_for_selector('#samples button')
    page.set_input_files('#file', dict(name=name, mimeType='image/png', buffer=content))
    page.click('#go:enabled')
    page.wait_for_selector('#status:has-text("Segmented"), #error:visible')
    assert page.is_hidden('#error'), page.inner_text('#error')
    with page.expect_download() as download:
        page.click('#save-all')
    return zipfile.ZipFile(download.value.path())


def read(archive, name):
    return np.asarray(Image.open(io.BytesIO(archive.read(name))))


@pytest.mark.parametrize('name', MODELS)
def test_the_page_says_what_python_says(page_folder, page, name, tmp_path):
    from mmdiffseg import runtime

    # odd sizes, so that the picture is padded
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    smooth = Image.fromarray(pixels).resize((61, 45), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / 'deep.png')
    write_model(page_folder / 'model', name, META)
    expected = runtime.load(page_folder / 'model')(tmp_path / 'deep.png')
    with file_server(page_folder) as address:
        page.goto(address)
        archive = segment(page, (tmp_path / 'deep.png').read_bytes())
    assert (read(archive, 'labels.png') == expected.labels).mean() >= 0.999
    assert len(np.unique(expected.labels)) > 1
    if expected.samples is not None:
        samples = np.stack([read(archive, f'samples/{number}.png') for number in (1, 2, 3)])
        assert (samples == expected.samples).mean() >= 0.999
    spread = read(archive, 'uncertainty.png') / 255
    np.testing.assert_allclose(spread, expected.uncertainty, atol=0.01)
    assert sum(name.startswith('film/') for name in archive.namelist()) == 3


def test_the_page_works_offline_after_its_first_visit(page_folder, page):
    write_model(page_folder / 'model', 'categorical', META)
    content = (page_folder / 'samples/drawn cells.png').read_bytes()
    with file_server(page_folder) as address:
        page.goto(address)
        before = segment(page, content)
        page.evaluate('navigator.serviceWorker.ready.then(() => true)')
    page.reload()  # from a server that is gone
    after = segment(page, content)
    assert page.evaluate('crossOriginIsolated')
    assert before.read('labels.png') == after.read('labels.png')


def test_models_that_the_page_cannot_run_are_refused(page_folder, page):
    write_model(page_folder / 'model', 'categorical', META)
    file = page_folder / 'model/loop.json'
    loop = json.loads(file.read_text())
    with file_server(page_folder) as address:
        for change, sentence in (
            (dict(layout=2), 'the model has the layout 2, and this page reads 1'),
            (dict(kind='draw'), 'this page does not run models of the kind draw'),
            (dict(graphs={'encoder': dict(loop['graphs']['encoder'], file='x')}), 'lacks x'),
        ):
            file.write_text(json.dumps({**loop, **change}))
            page.goto(address)
            page.wait_for_selector('#error:visible')
            assert sentence in page.inner_text('#error')


def test_another_archive_is_refused(tmp_path):
    spec = importlib.util.spec_from_file_location('playground_build', BUILD)
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    (tmp_path / 'a.tgz').write_bytes(b'something else')
    with pytest.raises(ValueError, match=r'a.tgz is not onnxruntime-web@1.30.0: its SHA-256 is'):
        build.unpack(tmp_path / 'a.tgz', tmp_path)
