"""A folder of good, damaged and hostile files, for the table."""

import copy
import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from PIL import Image
from safetensors.torch import load_file, save_file

from mmdiffseg.apis.load import ZOO
from mmdiffseg.runtime.folder import PARTS

REPO = Path(__file__).parents[2]
MARKER = 'CODE_HAS_RUN'
#: where our configs look for Shapes
DATA = ('data/shapes', 'data/shapes-64')
CONFIG = """
_base_ = {base!r}
data_root = {data!r}
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root))
val_dataloader = dict(
    batch_size=1, num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
{more}
"""
SHORT = """
train_cfg = dict(max_iters=2, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=1), logger=dict(interval=1))
"""
ALONE = """
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
val_dataloader = val_cfg = val_evaluator = None
"""
SMALL = 'model = dict(data_preprocessor=dict(size=(64, 64)))'
CONFIGS = {
    'ddp.py': ('ddp/ddp_r18_shapes.py', SHORT + SMALL),
    'fcn.py': ('ddp/fcn_r18_shapes.py', SHORT + SMALL),
    'depth.py': ('ddp/ddp_r18_shapes-depth.py', SHORT + SMALL),
    'map.py': ('ddp/ddp_r18_shapes-map.py', SHORT),
    'segdiff.py': ('segdiff/segdiff_small_shapes-classes.py', SHORT + SMALL),
    'binary.py': ('segdiff/segdiff_shapes.py', SHORT),
    'dformer.py': ('dformer/dformer_r18_shapes-panoptic.py', SHORT + 'load_from = None'),
    'context.py': ('ref_ldm_seg/refldmseg-n_shapes.py', SHORT + ALONE),
    'one_step.py': ('ref_ldm_seg/refldmseg-f_shapes.py', SHORT + ALONE),
    'referring.py': ('ref_diff/ref-diff_tiny_shapes.py', ''),
}


class Hostile:
    """Leaves the marker when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (exec, (f'open({str(self.marker)!r}, "w").close()',))


def make(root: Path, shapes: Path) -> None:
    """Fill the folder; the marker of hostile files lies beside it."""
    root.mkdir()
    for name in DATA:
        shutil.copytree(shapes, root / name)
    _write_configs(root)
    _write_checkpoints(root, Hostile(root.with_name(MARKER)))
    _write_data(root, Hostile(root.with_name(MARKER)))


def _write_configs(root):
    for name, (base, more) in CONFIGS.items():
        if base.startswith(('ref_diff', 'ref_ldm_seg')):  # whose data lie where they look for them
            text = f'_base_ = {str(REPO / "configs" / base)!r}\n{more}'
        else:
            text = CONFIG.format(base=str(REPO / 'configs' / base), data=DATA[0], more=more)
        (root / name).write_text(text)
    (root / 'broken.py').write_text('model = dict(\n')
    (root / 'raises.py').write_text('model = 1 / 0\n')
    (root / 'empty.py').write_text('')
    (root / 'no_base.py').write_text("_base_ = 'nowhere.py'\n")
    (root / 'text.txt').write_text('not a config\n')
    (root / 'circle.py').write_text("_base_ = './circle.py'\n")
    (root / 'exits.py').write_text('import sys\nsys.exit(0)\n')
    (root / 'no_model.py').write_text('a = 1\n')
    (root / 'hostile.yaml').write_text(
        f'a: !!python/object/apply:os.system ["touch {root.with_name(MARKER)}"]\n'
    )


def _weights(config):
    cfg = Config.fromfile(config)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    return MODELS.build(cfg.model).state_dict()


def _authors_name(name):
    """Of a weight of SegDiff."""
    return name.replace('decode_head.denoiser.', '').replace('backbone.', 'rrdb.')


def _write_checkpoints(root, hostile):
    here = os.getcwd()
    os.chdir(root)
    try:
        good = _weights('ddp.py')
        torch.save({'state_dict': _weights('context.py')}, 'context.pth')
        (root / 'run').mkdir()
        torch.save({_authors_name(k): v for k, v in _weights('binary.py').items()}, 'run/model.pt')
        (root / 'run/args.json').write_text('{"num_heads": 1, ')
    finally:
        os.chdir(here)
    torch.save({'state_dict': good}, root / 'good.pth')
    content = (root / 'good.pth').read_bytes()
    small = {'state_dict': {'weight': torch.ones(2)}}
    torch.save(small, root / 'small.pth')
    torch.save({'state_dict': {k: v for k, v in list(good.items())[:9]}}, root / 'part.pth')
    bad = copy.deepcopy(good)
    bad['decode_head.conv_seg.weight'].view(-1)[3] = torch.nan
    torch.save({'state_dict': bad}, root / 'nan.pth')
    bad = dict(good)
    bad['decode_head.conv_seg.weight'] = torch.zeros(9, 256, 1, 1)
    torch.save({'state_dict': bad}, root / 'nine.pth')
    kinds = {name: value for name, value in good.items() if value.is_floating_point()}
    for name, change in (
        ('int8.pth', lambda value: value.round().to(torch.int8)),
        ('complex.pth', lambda value: value.to(torch.complex64)),
        ('sparse.pth', lambda value: value.to_sparse()),
    ):
        torch.save(
            {'state_dict': {**good, **{k: change(v) for k, v in kinds.items()}}}, root / name
        )
    mixed = {**good, 'decode_head.conv_seg.weight': 'text'}
    torch.save({'state_dict': mixed}, root / 'mixed.pth')
    torch.save([1, 2], root / 'list.pth')
    torch.save({'state_dict': 5}, root / 'number.pth')
    torch.save({'state_dict': {'weight': 'text'}}, root / 'strings.pth')
    torch.save({'state_dict': {}}, root / 'no_weights.pth')
    torch.save({'state_dict': {5: torch.ones(2)}}, root / 'int_key.pth')
    (root / 'empty.pth').write_bytes(b'')
    (root / 'text.pth').write_text('<html>404</html>')
    (root / 'cut.pth').write_bytes(content[: len(content) // 2])
    middle = len(content) // 2
    (root / 'flipped.pth').write_bytes(content[:middle] + b'\0\1\2\3' * 9 + content[middle + 36 :])
    # code
    whole = {**small, 'hook': hostile}
    torch.save(whole, root / 'hostile.pth')
    torch.save(whole, root / 'hostile_old.pth', _use_new_zipfile_serialization=False)
    (root / 'hostile_raw.pth').write_bytes(pickle.dumps(hostile))
    torch.save(hostile, root / 'hostile_whole.pth')
    torch.save({'state_dict': {'weight': hostile}}, root / 'hostile_weight.pth')
    torch.save({'state_dict': good, 'meta': dict(hook=hostile)}, root / 'hostile_meta.pth')
    code = f'open({str(hostile.marker)!r}, "w").close()\nmodel = dict(type="X")\n'
    meta = dict(cfg=code, config=code, dataset_meta=dict(classes=['a'], palette=[[0, 0, 0]]))
    hub = dict(runtime_info=dict(cfg=code), log_scalars={}, resumed_keys={})
    torch.save({'state_dict': good, 'meta': meta, 'message_hub': hub}, root / 'hostile_cfg.pth')
    (root / 'hostile.safetensors').write_bytes(pickle.dumps(hostile))
    # work dirs
    for name in ('iter_1.pth', 'iter_2.pth'):
        (root / 'work_cut').mkdir(exist_ok=True)
        shutil.copy(root / 'cut.pth', root / 'work_cut' / name)
    (root / 'work_empty_pointer').mkdir()
    (root / 'work_empty_pointer/last_checkpoint').write_text('')
    (root / 'work_gone').mkdir()
    (root / 'work_gone/last_checkpoint').write_text('/nowhere/iter_9.pth')
    for name, file in (('work_hostile', 'hostile.pth'), ('work_old', 'good.pth')):
        (root / name).mkdir()
        shutil.copy(root / file, root / name / 'iter_1.pth')
        (root / name / 'last_checkpoint').write_text(str(root / name / 'iter_1.pth'))
    # a training without the state of its optimizer
    (root / 'work_weights').mkdir()
    state = dict(state_dict=good, meta=dict(epoch=0, iter=1), message_hub=hub)
    torch.save(state, root / 'work_weights/iter_1.pth')
    # a program, which reading would run
    with zipfile.ZipFile(root / 'program.pt', 'w') as archive:
        archive.writestr('archive/constants.pkl', b'')
    # model folders and exports
    shutil.copytree(ZOO / 'nuclei', root / 'model_int')
    file = root / 'model_int/model.safetensors'
    save_file({name: value.round().to(torch.int8) for name, value in load_file(file).items()}, file)
    for name, graphs in (('outside', {'a': {'file': '../secret.onnx'}}), ('listed', [1])):
        (root / f'export_{name}').mkdir()
        loop = dict(layout=1, graphs=graphs, **dict.fromkeys(PARTS))
        (root / f'export_{name}/loop.json').write_text(json.dumps(loop))
    # folders of diffusers with a pickle in them
    shutil.copytree(REPO / 'demo/tiny_world', root / 'world')
    for part in ('unet', 'clip', 'vae', 'text_encoder', 'alpha_clip'):
        folder = root / f'world_{part}'
        shutil.copytree(REPO / 'demo/tiny_world', folder)
        weights = next((folder / part).glob('*.safetensors'))
        weights.unlink()
        for name in ('diffusion_pytorch_model.bin', 'pytorch_model.bin'):
            torch.save({'weight': hostile}, folder / part / name)


def _write_data(root, hostile):
    for split in ('train', 'val'):
        assert (root / DATA[0] / 'images' / split).is_dir()

    def damaged(name, part):
        """Copy the data; the first files of both splits are for the caller to break."""
        out = root / name
        shutil.copytree(root / DATA[0], out)
        return [sorted((out / part / split).iterdir())[0] for split in ('train', 'val')]

    def each(name, part, write):
        for path in damaged(name, part):
            write(path)

    each('image_empty', 'images', lambda p: p.write_bytes(b''))
    each('image_text', 'images', lambda p: p.write_text('no picture'))
    each('image_cut', 'images', lambda p: p.write_bytes(p.read_bytes()[:200]))
    each('image_gone', 'images', lambda p: p.unlink())
    each('image_small', 'images', lambda p: Image.new('RGB', (32, 48)).save(p))
    each('label_empty', 'labels', lambda p: p.write_bytes(b''))
    each('label_cut', 'labels', lambda p: p.write_bytes(p.read_bytes()[:60]))
    each('label_gone', 'labels', lambda p: p.unlink())
    each('label_small', 'labels', lambda p: Image.new('L', (32, 48)).save(p))
    each('label_colour', 'labels', lambda p: Image.new('RGB', (64, 64), (9, 9, 9)).save(p))
    each('label_nine', 'labels', lambda p: Image.new('L', (64, 64), 9).save(p))
    each('label_16bit', 'labels', lambda p: _png16(p, 257))
    each('depth_8bit', 'depth', lambda p: Image.new('L', (64, 64), 9).save(p))
    each('depth_small', 'depth', lambda p: _png16(p, 900, (32, 48)))
    each('depth_empty', 'depth', lambda p: p.write_bytes(b''))
    each('depth_none', 'depth', lambda p: _png16(p, 0))
    each('map_text', 'maps', lambda p: p.write_text('no array'))
    each('map_hostile', 'maps', lambda p: _npz(p, masks=np.array([hostile], dtype=object)))
    each('map_other_name', 'maps', lambda p: _npz(p, other=np.zeros((6, 64, 64), bool)))
    each('map_small', 'maps', lambda p: _npz(p, masks=np.zeros((6, 8, 8), bool)))
    each('map_classes', 'maps', lambda p: _npz(p, masks=np.zeros((3, 64, 64), bool)))
    each('map_float', 'maps', lambda p: _npz(p, masks=np.full((6, 64, 64), np.nan)))
    each('panoptic_empty', 'panoptic', lambda p: p.write_bytes(b''))
    each('panoptic_gone', 'panoptic', lambda p: p.unlink())
    each('panoptic_ids', 'panoptic', lambda p: Image.new('RGB', (64, 64), (99, 0, 0)).save(p))
    exif = Image.Exif()
    exif[0x0112] = 6
    each('image_turned', 'images', lambda p: Image.open(p).save(p, exif=exif))
    twins = root / 'twins'
    for part, suffix in (('images', '.jpg'), ('labels', '.png')):
        for folder in ('a', 'b'):
            (twins / part / 'val' / folder).mkdir(parents=True)
            shutil.copy(
                root / DATA[0] / part / f'val/000000{suffix}', twins / part / 'val' / folder
            )
    (root / 'nothing').mkdir()
    for split in ('train', 'val'):
        for part in ('images', 'labels'):
            (root / 'no_files' / part / split).mkdir(parents=True)

    def json_of(name, file, change):
        for path in damaged(name, 'images')[:1]:
            path = root / name / 'annotations' / file
            path.write_text(change(json.loads(path.read_text())))

    for file in sorted(p.name for p in (root / DATA[0] / 'annotations').iterdir()):
        if file == 'instances_train.json':
            json_of('rle_short', file, _short_run_lengths)
            json_of('instances_none', file, lambda c: json.dumps({**c, 'annotations': []}))
        if file.startswith('panoptic_val'):
            json_of('coco_cut', file, lambda c: json.dumps(c)[:90])
            json_of('coco_list', file, lambda c: '[]')
            json_of('coco_none', file, lambda c: json.dumps({**c, 'annotations': []}))
            json_of('coco_category', file, _other_category)
    (root / 'rle.json').write_text('[]')
    (root / 'hostile.pkl').write_bytes(pickle.dumps(hostile))
    (root / 'hostile.p').write_bytes(pickle.dumps(hostile))
    (root / 'cut.json').write_text('{"a": [1, ')
    (root / 'empty.json').write_text('')
    (root / 'object.json').write_text('{"a": 1}')
    np.save(root / 'hostile.npy', np.array([hostile], dtype=object))
    Image.new('L', (64, 64)).save(root / 'mask_empty.png')
    Image.new('L', (64, 64), 1).save(root / 'mask.png')
    Image.new('L', (32, 48), 1).save(root / 'mask_small.png')
    Image.new('RGB', (64, 64)).save(root / 'colour.png')
    Image.new('F', (8, 8)).save(root / 'float.tiff')
    (root / 'zero.png').write_bytes(b'')
    (root / 'frames').mkdir()
    for i in range(3):
        shutil.copy(root / 'colour.png', root / f'frames/{i:05d}.png')
    (root / 'one_frame').mkdir()
    shutil.copy(root / 'colour.png', root / 'one_frame/00000.png')
    (root / 'given').mkdir()
    for i in range(3):
        shutil.copy(root / 'mask.png', root / f'given/{i:05d}.png')
    (root / 'damaged_record').mkdir()
    (root / 'damaged_record/prediction.json').write_text('[1, 2')
    samples = root / 'samples'
    samples.mkdir()
    maps = dict(samples=np.zeros((1, 4, 4), np.uint8), raters=np.zeros((1, 4, 4), np.uint8))
    np.savez(samples / 'a.npz', **maps, weights=np.ones(1))
    no_image = dict(id=1, image_id=7, segmentation=dict(size=[4, 4], counts=[8, 8]))
    content = dict(images=[], categories=[], annotations=[no_image])
    (root / 'no_image.json').write_text(json.dumps(content))
    (root / 'twice').mkdir()
    shutil.copy(root / 'colour.png', root / 'twice/colour.png')
    (root / 'full').mkdir()
    (root / 'full/precious.txt').write_text('mine')
    (root / 'predictions').mkdir()
    for path in sorted((root / DATA[0] / 'labels/val').iterdir()):
        Image.new('L', (64, 64), 9).save(root / 'predictions' / path.name)
    (root / 'log_cut.json').write_text('{"loss": 1, "step": 1}\n{"lo')
    (root / 'log_none.json').write_text('{"loss": 1, "step": 1}\n')


def _png16(path, value, size=(64, 64)):
    Image.fromarray(np.full(size[::-1], value, np.uint16)).save(path)


def _npz(path, **arrays):
    np.savez(path.with_suffix('.npz'), **arrays)


def _short_run_lengths(content):
    for annotation in content['annotations']:
        annotation['segmentation'] = dict(size=[64, 64], counts=[5, 3])
    return json.dumps(content)


def _other_category(content):
    for annotation in content['annotations']:
        for segment in annotation['segments_info']:
            segment['category_id'] = 77
    return json.dumps(content)
