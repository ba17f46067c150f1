import json
import os

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import mmdiffseg
from mmdiffseg.apis import load as loading
from mmdiffseg.apis.load import load, shipped_models


@pytest.fixture
def folder(tiny, tmp_path):
    return tiny.save_pretrained(tmp_path / 'model')


def change(folder, **parts):
    file = folder / 'config.json'
    content = json.loads(file.read_text())
    for path, value in parts.items():
        *keys, last = path.split('__')
        holder = content
        for key in keys:
            holder = holder[key]
        holder[last] = value
    file.write_text(json.dumps(content))


def test_a_model_comes_back_as_it_was(tiny, folder, picture):
    loaded = mmdiffseg.load(folder, device='cpu')
    assert loaded.meta == {**tiny.meta, 'source': str(folder), 'card': {}}
    assert loaded.config.to_dict() == tiny.config.to_dict()  # tuples stay tuples
    for name in ('probability', 'samples', 'uncertainty'):
        assert np.array_equal(getattr(loaded(picture), name), getattr(tiny(picture), name))


def test_half_of_the_size(tiny, folder, picture, tmp_path):
    half = tiny.save_pretrained(tmp_path / 'half', half=True)
    sizes = [(f / 'model.safetensors').stat().st_size for f in (folder, half)]
    assert sizes[1] < 0.6 * sizes[0]
    found = load(half, device='cpu')
    assert next(found.model.parameters()).dtype == torch.float32
    # a pixel whose classes are nearly as likely as each other may change its vote
    same = np.isclose(found(picture).probability, tiny(picture).probability, atol=0.05)
    assert same.mean() > 0.99


def test_the_card_tells_what_is_known(tiny, tmp_path, picture):
    folder = tiny.save_pretrained(
        tmp_path / 'model',
        card=dict(
            name='shapes',
            summary='Finds shapes.',
            data='ambiguous Shapes',
            licence='Apache-2.0',
            metrics=dict(IoU=0.81234),
            command='python tools/test.py',
            limits='Drawn shapes only.',
        ),
        picture=picture,
    )
    card = (folder / 'README.md').read_text()
    for words in (
        'license: apache-2.0',
        'pipeline_tag: image-segmentation',
        "mmdiffseg.load('shapes')",
        '| IoU | 0.8123 |',
        '| trained on | ambiguous Shapes |',
        'Drawn shapes only.',
        '![What the model says](picture.png)',
    ):
        assert words in card
    assert (
        'Nothing was measured'
        in (tiny.save_pretrained(tmp_path / 'bare') / 'README.md').read_text()
    )
    with pytest.raises(ValueError, match='a card has no license: it has name, summary'):
        tiny.save_pretrained(tmp_path / 'other', card=dict(license='MIT'))
    assert not (tmp_path / 'other').exists()


def test_nothing_is_overwritten_unasked(tiny, folder):
    before = (folder / 'model.safetensors').stat().st_mtime_ns
    with pytest.raises(FileExistsError, match='is not empty: choose another folder'):
        tiny.save_pretrained(folder)
    assert (folder / 'model.safetensors').stat().st_mtime_ns == before
    tiny.save_pretrained(folder, overwrite=True)
    assert (folder / 'model.safetensors').stat().st_mtime_ns > before


def test_what_cannot_be_shared_is_refused(tiny, tmp_path):
    for change_, sentence in (
        (dict(custom_imports=dict(imports=['my_project'])), 'the config imports my_project'),
        (dict(my_hook=dict(type='my_project.hooks.Hook')), 'gives my_project.hooks.Hook as its'),
        (dict(numbers={1: 2}), 'config.numbers has the key 1: a model folder stores names'),
        (dict(thing=print), r'config.thing is <built-in function print>'),
    ):
        tiny.config.update(change_)
        with pytest.raises(ValueError, match=sentence):
            tiny.save_pretrained(tmp_path / 'model')
        for key in change_:
            tiny.config.pop(key)
    parameter = next(tiny.model.parameters())
    parameter.data.view(-1)[0] = 1e6
    with pytest.raises(ValueError, match='as float16 holds weights that are not finite'):
        tiny.save_pretrained(tmp_path / 'model', half=True)
    parameter.data.view(-1)[0] = torch.nan
    with pytest.raises(ValueError, match='the model holds weights that are not finite'):
        tiny.save_pretrained(tmp_path / 'model')
    assert not (tmp_path / 'model').exists()


def test_damaged_folders_are_refused(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match='is not a model folder, it has no config.json and'):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match='there is no model ./nothing: give one of those'):
        load('./nothing')
    good = (folder / 'config.json').read_text()
    for text, sentence in (
        (good[:-5], 'config.json is damaged'),
        ('[]', 'is not a config of mmdiffseg'),
        ('{"config": {}, "meta": []}', 'is not a config of mmdiffseg'),
        ('{"config": {}, "meta": {}}', 'has no model in its config'),
        ('[' * 100000, 'config.json is damaged'),
    ):
        (folder / 'config.json').write_text(text)
        with pytest.raises(ValueError, match=sentence):
            load(folder)


def test_nothing_in_a_folder_is_run(folder, tmp_path):
    for path, value, sentence in (
        ('config__model__type', 'os.system', 'gives os.system as its type'),
        ('config__custom_imports', dict(imports=['antigravity']), 'imports antigravity'),
        ('config__x', [dict(type='builtins.eval')], 'gives builtins.eval as its type'),
        # mmengine imports what it finds registered nowhere
        ('config__x', dict(type='antigravity'), 'gives antigravity as its type'),
        ('config__x', dict(type='__main__'), 'gives __main__ as its type'),
    ):
        before = (folder / 'config.json').read_text()
        change(folder, **{path: value})
        with pytest.raises(ValueError, match=f'it could run code: .*{sentence}'):
            load(folder)
        (folder / 'config.json').write_text(before)


def test_weights_that_are_wrong_are_refused(folder):
    file = folder / 'model.safetensors'
    weights = load_file(file)
    name = next(iter(weights))
    for changed, sentence in (
        ({**weights, 'extra': torch.zeros(1)}, 'does not fit StochasticSegmentor: 1 unknown'),
        ({k: v for k, v in weights.items() if k != name}, 'does not fit .*: 1 missing'),
        ({**weights, name: weights[name] * torch.nan}, 'not finite, such as ' + name),
    ):
        save_file(changed, file)
        with pytest.raises(ValueError, match=sentence):
            load(folder)
    file.write_bytes(b'no weights')
    with pytest.raises(ValueError, match='is damaged or not a safetensors file'):
        load(folder)


def test_models_that_are_shipped_have_names(folder, monkeypatch, picture):
    monkeypatch.setattr(loading, 'ZOO', folder.parent)
    assert shipped_models() == dict(model=folder)
    assert load('model', device='cpu')(picture).labels.shape == (48, 64)
    with pytest.raises(FileNotFoundError, match=r'no model cells: .* shipped \(model\)'):
        load('cells')


def hub_cache(root, folder, revision):
    """Lay out a folder as huggingface_hub keeps what it has downloaded."""
    repo = root / 'models--owner--name'
    (repo / 'refs').mkdir(parents=True)
    (repo / 'refs/main').write_text(revision)
    (repo / 'snapshots').mkdir()
    os.symlink(folder, repo / 'snapshots' / revision)


def test_a_model_of_the_hub_is_found_offline(folder, tmp_path, monkeypatch, picture):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'hub'))
    revision = '0123456789abcdef' * 2 + '01234567'
    hub_cache(tmp_path / 'hub', folder, revision)
    for name in ('owner/name', f'owner/name@{revision}'):
        assert load(name, device='cpu').meta['source'] == name
    for name in ('owner/other', 'owner/name@v2'):
        with pytest.raises(FileNotFoundError, match='nor to be had from the Hub'):
            load(name)


def test_config_and_checkpoint(tiny, tmp_path, picture):
    weights = tiny.model.state_dict()
    stored = dict(dataset_meta=dict(classes=list('abcdefg')), cfg=tiny.config.pretty_text)
    torch.save(dict(state_dict=weights, meta=stored), tmp_path / 'model.pth')
    tiny.config.dump(tmp_path / 'config.py')
    for options in (dict(config=tmp_path / 'config.py'), dict(config=tiny.config), {}):
        found = load(**options, checkpoint=tmp_path / 'model.pth', device='cpu')
        assert found.meta['classes'] == list('abcdefg')
        assert np.array_equal(found(picture).labels, tiny(picture).labels)
    torch.save(weights, tmp_path / 'bare.pth')
    with pytest.raises(ValueError, match='bare.pth holds no config: give the one'):
        load(checkpoint=tmp_path / 'bare.pth')
    with pytest.raises(FileNotFoundError, match='there is no config'):
        load(config='nowhere.py')
    with pytest.raises(ValueError, match='give either the name'):
        load()
    with pytest.raises(ValueError, match='give either the name'):
        load('model', config=tiny.config)


def test_a_config_in_a_checkpoint_runs_no_code(tiny, tmp_path):
    text = "model = dict(type='EncoderDecoder')\nimport os"
    torch.save(dict(state_dict={}, meta=dict(cfg=text)), tmp_path / 'model.pth')
    with pytest.raises(ValueError, match='line 2 of the config is more than a plain value'):
        load(checkpoint=tmp_path / 'model.pth')


def test_others_may_read_the_weights(load_untrained, tmp_path):
    folder = load_untrained('segdiff/segdiff_tiny_dsb2018').save_pretrained(tmp_path / 'model')
    (tmp_path / 'plain').touch()
    expected = (tmp_path / 'plain').stat().st_mode
    assert {path.stat().st_mode for path in folder.iterdir()} == {expected}


def test_the_card_of_a_refiner_calls_it_with_a_mask(load_untrained, tmp_path):
    refiner = load_untrained('refine/refine_tiny_mixed')
    card = (refiner.save_pretrained(tmp_path / 'refiner') / 'README.md').read_text()
    assert "result = model.refine('picture.png', mask)" in card
