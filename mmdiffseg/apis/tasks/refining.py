"""Asking a refiner, which takes a picture and a mask that somebody made."""

from typing import Any

from mmdiffseg.apis.pictures import Picture
from mmdiffseg.models.refine import MaskRefiner


class RefineTask:
    """Takes no picture alone; see :mod:`mmdiffseg.apis.refine`.

    Args:
        model: The refiner.
    """

    asks = 'mask'

    def __init__(self, model: MaskRefiner) -> None:
        self.model = model

    def question(self, *, text: Any, examples: Any) -> None:
        """Refuse.

        Raises:
            ValueError: Always: there is no mask.
        """
        raise ValueError(
            'this model corrects masks and finds none by itself: call refine(image, mask)'
        )

    def prepare(self, picture: Picture) -> Picture:
        """The picture as it is."""
        return picture
