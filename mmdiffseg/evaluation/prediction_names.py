"""Names of the files that predictions are written to, no two of them the same."""

from pathlib import Path
from typing import Any


class PredictionNames:
    """Names predictions by the ``sample_id`` of their samples, else by the stems of their images.

    Args:
        suffix: What follows the names, for the message.
        by_image: Take the stem of the image in any case, as mmseg's metrics do.

    Example:
        >>> names = PredictionNames('.png')
        >>> names.claim(dict(img_path='train/cat.jpg'))
        'cat'
    """

    def __init__(self, suffix: str, *, by_image: bool = False) -> None:
        self.suffix = suffix
        self.by_image = by_image
        self._owners = {}

    def claim(self, sample: Any) -> str:
        """Name the prediction of a sample, which may come again.

        Args:
            sample: Meta information, a dictionary or a data sample, with ``img_path``.

        Raises:
            ValueError: Another sample has that name.
        """
        name = Path(sample.get('img_path')).stem if self.by_image else prediction_name(sample)
        owner = (sample.get('img_path'), sample.get('sample_id'))
        if self._owners.setdefault(name, owner) != owner:
            raise ValueError(collision(f'{name}{self.suffix}'))
        return name


def prediction_name(sample: Any) -> str:
    """The ``sample_id`` of a sample, else the stem of its image."""
    return sample.get('sample_id') or Path(sample.get('img_path')).stem


def collision(name: str) -> str:
    """Say that two predictions would share a file."""
    return (
        f'two predictions would be written to {name}: give every sample a sample_id of its own '
        'in its metainfo, or every image a name of its own'
    )
