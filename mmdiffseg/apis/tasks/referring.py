"""Asking Ref-Diff, which takes a sentence beside a picture."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmdiffseg.apis.palette import colours
from mmdiffseg.apis.pictures import Picture
from mmdiffseg.apis.result import Segment
from mmdiffseg.models.referring import RefDiff


class ReferringTask:
    """Finds what sentences mean; label 1 is the first sentence.

    Args:
        model: The model.
    """

    asks = 'text'

    def __init__(self, model: RefDiff) -> None:
        self.model = model

    def question(self, *, text: str | Sequence[str] | None, examples: Any) -> list[str]:
        """The sentences.

        Args:
            text: One sentence or several.
            examples: Must be None.

        Raises:
            ValueError: There is no sentence, one that cannot be read, or something else was given.
        """
        if examples is not None:
            raise ValueError('Ref-Diff takes no examples: say by text= what to look for')
        texts = [text] if isinstance(text, str) else list(text or [])
        if not texts:
            raise ValueError("say what to look for, such as text='the red circle on the left'")
        for sentence in texts:
            self.model.read(sentence)
        return texts

    def prepare(self, picture: Picture) -> Picture:
        """Take a picture as it is."""
        return picture

    def predict(self, items: Sequence[Picture], question: list[str]) -> list[dict[str, Any]]:
        """Answer for pictures; where two answers overlap, the first sentence has the label."""
        return [self._answer(picture, question) for picture in items]

    def _answer(self, picture: Picture, texts: list[str]) -> dict[str, Any]:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', UserWarning)  # the notes say the same
            referrals = self.model.segment(picture.pixels, texts, name=picture.name)
        labels = np.zeros(picture.pixels.shape[:2], dtype=np.uint8)
        segments = []
        for number, referral in enumerate(referrals, start=1):
            mask = referral.mask.cpu().numpy()
            segments.append(Segment(label=number, mask=mask))
            labels[mask & (labels == 0)] = number
        notes = [note for referral in referrals for note in referral.notes]
        classes = ('background', *texts)
        return dict(
            labels=labels,
            segments=segments,
            notes=list(dict.fromkeys(notes)),
            classes=classes,
            palette=colours(classes),
        )
