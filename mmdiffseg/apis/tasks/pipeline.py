"""The test pipeline of a config, for pictures of which nobody knows the truth."""

from collections.abc import Callable

import cv2
from mmengine.config import Config
from mmengine.dataset import Compose

from mmdiffseg.apis.pictures import Picture

LOADER = 'LoadImageFromFile'
# what reads, checks or cuts by the truth, or follows the protocol of a benchmark
_LEFT_OUT = ('Load', 'Check', 'Decode', 'Crop', 'ScoreAtInputSize')


def preparation_of(config: Config) -> Callable[[Picture], dict]:
    """Build what turns a picture into the input of a model, as a test run of its config does.

    Args:
        config: Config of the model; without a test pipeline pictures go in as they are.

    Raises:
        ValueError: The pipeline does not begin with a picture.
    """
    first, *others = kept_transforms(config)
    grey = first.get('color_type', 'color').startswith('grayscale')
    pipeline = Compose([dict(step) for step in others])

    def prepare(picture: Picture) -> dict:
        code = cv2.COLOR_RGB2GRAY if grey else cv2.COLOR_RGB2BGR
        pixels = cv2.cvtColor(picture.pixels, code)
        size = pixels.shape[:2]
        loaded = dict(img=pixels, img_shape=size, ori_shape=size, seg_fields=[])
        # the name of the file alone names the noise
        return pipeline({**loaded, 'img_path': picture.name, 'img_id': 0})

    return prepare


def kept_transforms(config: Config) -> list[dict]:
    """The transforms of a test run that a picture without a truth goes through, loader first.

    Raises:
        ValueError: The pipeline does not begin with a picture.
    """
    first, *others = _test_pipeline(config)
    if _name(first) != LOADER:
        raise ValueError(
            f'the test pipeline begins with {first["type"]}, so this model reads no pictures: run '
            'it by tools/test.py'
        )
    return [first, *(step for step in others if not _is_left_out(_name(step)))]


def _test_pipeline(config: Config) -> list[dict]:
    dataset = config.get('test_dataloader', {}).get('dataset', {})
    while 'dataset' in dataset:  # a wrapper, such as one that repeats
        dataset = dataset['dataset']
    pack = 'PackDetInputs' if config.get('default_scope') == 'mmdet' else 'PackSegInputs'
    plain = [dict(type=LOADER), dict(type=pack)]
    return dataset.get('pipeline') or config.get('test_pipeline') or plain


def _name(step: dict) -> str:
    return str(step['type']).rpartition('.')[2]


def _is_left_out(name: str) -> bool:
    return name.startswith(_LEFT_OUT) or name.endswith('Crop')
