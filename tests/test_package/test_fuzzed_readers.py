"""Whatever a file holds, its reader returns the content or says in a sentence what is wrong."""

import json
import pickle
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch

pytest.importorskip('hypothesis')
from hypothesis import example, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from mmdiffseg.compat.checkpoint import load_checkpoint_file  # noqa: E402
from mmdiffseg.compat.stored_config import check_stored_config, read_config  # noqa: E402
from mmdiffseg.datasets import KITTIDepthDataset, RefCOCODataset  # noqa: E402
from mmdiffseg.datasets.files import read_json  # noqa: E402
from mmdiffseg.datasets.referring.refer_files import read_refs  # noqa: E402
from mmdiffseg.datasets.transforms.load_binary_mask import read_binary_mask  # noqa: E402

few = settings(max_examples=30, deadline=None, derandomize=True)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def read(reader, content, *, suffix='', refusals=(ValueError, OSError), **options):
    """Call a reader on a file of that content; True if it was read."""
    with TemporaryDirectory() as folder:
        path = Path(folder, f'file{suffix}')
        path.write_bytes(content)
        try:
            reader(str(path), **options)
        except refusals as error:
            assert str(error) and 'file' in str(error), repr(error)
            return False
        return True


@few
@given(st.binary(max_size=200))
@example(b'')
@example(b'PK\x03\x04')
@example(b'\x80\x02}q\x00.')
def test_checkpoints(content):
    read(load_checkpoint_file, content)


def a_checkpoint():
    with TemporaryDirectory() as folder:
        torch.save({'state_dict': {'weight': torch.arange(9.0)}}, Path(folder, 'a'))
        return Path(folder, 'a').read_bytes()


SOUND = a_checkpoint()


@few
@given(st.integers(0, len(SOUND) - 1), st.integers(0, 255))
def test_checkpoints_with_one_wrong_byte(position, value):
    read(load_checkpoint_file, SOUND[:position] + bytes([value]) + SOUND[position + 1 :])
    read(load_checkpoint_file, SOUND[:position])


@few
@given(st.binary(max_size=100) | plain.map(lambda value: json.dumps(value).encode()))
def test_json(content):
    read(read_json, content, suffix='.json')


@few
@given(plain)
def test_lists_of_references(value):
    refusals = (ValueError, pickle.UnpicklingError)
    read(read_refs, json.dumps(value).encode(), suffix='.json')
    read(read_refs, pickle.dumps(value), suffix='.p', refusals=refusals)


@few
@given(st.binary(max_size=100))
def test_damaged_lists_of_references(content):
    read(read_refs, content, suffix='.p')


@few
@given(st.binary(max_size=100))
def test_masks(content):
    read(read_binary_mask, content, suffix='.png')


@few
@given(st.text(max_size=100))
def test_list_files_of_depth(text):
    with TemporaryDirectory() as folder:
        Path(folder, 'file.txt').write_text(text, encoding='utf-8', errors='replace')
        with pytest.raises((ValueError, FileNotFoundError), match='file.txt'):
            KITTIDepthDataset(
                data_root=folder,
                ann_file='file.txt',
                data_prefix=dict(img_path='', depth_map_path=''),
            )


@few
@given(plain)
def test_instances_of_references(value):
    ref = dict(split='val', image_id=1, ann_id=1, ref_id=1, sentences=[dict(sent='a', sent_id=1)])
    with TemporaryDirectory() as folder:
        Path(folder, 'refs.json').write_text(json.dumps([ref]))
        Path(folder, 'file.json').write_text(json.dumps(value))
        with pytest.raises((ValueError, FileNotFoundError), match='file.json'):
            RefCOCODataset(
                data_root=folder, ann_file='file.json', split_file='refs.json', split='val'
            )


@few
@given(st.text(max_size=60))
def test_configs_in_checkpoints(text):
    for check in (read_config, check_stored_config):
        try:
            check(text)
        except ValueError as error:
            assert 'the config' in str(error)
