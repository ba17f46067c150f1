"""Reading REFER's files."""

import json
import pickle

import numpy as np
import pytest
from mmengine.dataset import Compose
from PIL import Image

from mmdiffseg.datasets import RefCOCODataset
from mmdiffseg.datasets.referring import read_refs
from mmdiffseg.registry import TRANSFORMS

IMAGES = [
    dict(id=11, file_name='a.jpg', width=64, height=48),
    dict(id=7, file_name='b.jpg', width=50, height=70),
]
ANNOTATIONS = [
    dict(id=1, image_id=11, category_id=1, segmentation=[[5, 5, 25, 5, 25, 25, 5, 25]]),
    dict(  # two parts that overlap
        id=2,
        image_id=11,
        category_id=3,
        segmentation=[[30, 10, 46, 10, 46, 26, 30, 26], [40, 20, 56, 20, 56, 36, 40, 36]],
    ),
    dict(  # a crowd: 20 pixels from the top of the first column
        id=3, image_id=7, category_id=1, segmentation=dict(counts=[0, 20, 3480], size=[70, 50])
    ),
]


def ref(ref_id, ann_id, image_id, split, *sents):
    sentences = [
        dict(sent_id=10 * ref_id + k, sent=sent, raw=sent.upper(), tokens=sent.split())
        for k, sent in enumerate(sents)
    ]
    return dict(
        ref_id=ref_id,
        ann_id=ann_id,
        image_id=image_id,
        category_id=1,
        file_name=f'COCO_train2014_x_{ann_id}.jpg',
        split=split,
        sent_ids=[s['sent_id'] for s in sentences],
        sentences=sentences,
    )


REFS = [
    ref(103, 1, 11, 'val', 'left guy', ' guy '),
    ref(101, 2, 11, 'val', 'two squares'),
    ref(102, 1, 11, 'val', 'the same guy again'),
    ref(104, 3, 7, 'testA', 'people'),
    ref(105, 2, 11, 'testB', 'squares'),
]


@pytest.fixture
def root(tmp_path):
    (tmp_path / 'images').mkdir()
    for image in IMAGES:
        Image.new('RGB', (image['width'], image['height'])).save(
            tmp_path / 'images' / image['file_name']
        )
    write(tmp_path, REFS)
    (tmp_path / 'instances.json').write_text(
        json.dumps(dict(images=IMAGES, annotations=ANNOTATIONS))
    )
    return tmp_path


def write(root, refs):
    (root / 'refs(unc).p').write_bytes(pickle.dumps(refs, protocol=2))


def dataset(root, split='val', **options):
    return RefCOCODataset(
        data_root=str(root),
        split_file='refs(unc).p',
        split=split,
        data_prefix=dict(img_path='images'),
        **options,
    )


def mask_of(data):
    load = [dict(type='mmcv.LoadImageFromFile'), dict(type='mmdiffseg.LoadInstanceUnion')]
    return Compose([TRANSFORMS.build(t) for t in load])(data)['gt_seg_map']


def test_one_sample_a_sentence_in_the_order_of_the_file(root):
    data = dataset(root)
    infos = [data.get_data_info(i) for i in range(len(data))]
    assert [info['text'] for info in infos] == [
        'left guy',
        'guy',
        'two squares',
        REFS[2]['sentences'][0]['sent'],
    ]
    assert [info['sentence_index'] for info in infos] == [0, 1, 0, 0]
    assert [info['ref_id'] for info in infos] == [103, 103, 101, 102]
    assert len({info['sample_id'] for info in infos}) == 4
    assert infos[0]['img_path'].endswith('images/a.jpg')


def test_one_sample_a_reference(root):
    first = dataset(root, sample_by='ref', text_key='raw').get_data_info(0)
    assert first['texts'] == ['LEFT GUY', 'GUY']
    assert first['sent_ids'] == [1030, 1031]


def test_test_is_every_split_of_that_name(root):
    assert [len(dataset(root, split)) for split in ('testA', 'testB', 'test')] == [1, 1, 2]


def test_masks_are_unions_of_all_parts(root):
    data = dataset(root)
    squares = np.zeros((48, 64), np.uint8)
    squares[10:26, 30:46] = squares[20:36, 40:56] = 1
    assert np.array_equal(mask_of(data.get_data_info(2)), squares)
    # two references to one annotation have its mask each
    assert mask_of(data.get_data_info(0)).sum() == mask_of(data.get_data_info(3)).sum() == 400
    crowd = mask_of(dataset(root, 'testA').get_data_info(0))
    assert crowd[:20, 0].all() and crowd.sum() == 20


def test_json_is_read_and_references_to_nothing_are_left_out(root, caplog):
    nothing = ref(106, None, 11, 'val', 'unicorn') | dict(no_target=True)
    (root / 'refs.json').write_text(json.dumps([*REFS, nothing]))
    data = RefCOCODataset(
        data_root=str(root),
        split_file='refs.json',
        split='val',
        data_prefix=dict(img_path='images'),
    )
    assert len(data) == 4


@pytest.mark.parametrize(
    'change, error, words',
    [
        (dict(split='val2'), ValueError, "no split 'val2', but testA, testB, val"),
        (dict(split_file='refs(google).p'), FileNotFoundError, 'no list of references'),
        (dict(ann_file='other.json'), FileNotFoundError, 'no instances'),
        (dict(data_prefix=dict(img_path='x')), FileNotFoundError, '1 of 1 images'),
        (dict(text_key='text'), ValueError, "text_key='text'"),
        (dict(sample_by='image'), ValueError, "sample_by='image'"),
    ],
)
def test_what_is_wrong_is_said(root, change, error, words):
    options = dict(split='val', split_file='refs(unc).p', data_prefix=dict(img_path='images'))
    with pytest.raises(error) as said:
        RefCOCODataset(data_root=str(root), **{**options, **change})
    assert words in str(said.value)


def test_reference_to_a_missing_annotation(root):
    write(root, [ref(1, 99, 11, 'val', 'ghost')])
    with pytest.raises(ValueError, match='reference 1 means annotation 99, which is not in'):
        dataset(root)


class Malicious:
    def __reduce__(self):
        return print, ('it ran',)


def test_malicious_pickles_are_refused(root, capsys):
    write(root, [Malicious()])
    with pytest.raises(pickle.UnpicklingError, match='asks for .*print'):
        read_refs(root / 'refs(unc).p')
    assert capsys.readouterr().out == ''


def test_other_lists_are_refused(root):
    write(root, [dict(a=1)])
    with pytest.raises(ValueError, match='no list of references with sentences'):
        read_refs(root / 'refs(unc).p')
