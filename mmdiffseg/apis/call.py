"""What stays the same for all pictures of a call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

#: is told the name of a picture and why it has no result
OnError = Callable[[str, Exception], None]


@dataclass(frozen=True, kw_only=True)
class Call:
    """What was asked for, beside the pictures.

    Attributes:
        question: What goes with every picture, such as a text or examples.
        settings: Steps, generations and seed, None where the model decides.
        on_error: Is told of a picture that fails; None lets its error out.
    """

    question: Any
    settings: Mapping[str, int | None]
    on_error: OnError | None

    def failed(self, name: str, error: Exception) -> None:
        """Report the error of a picture, or raise it."""
        if self.on_error is None:
            raise error
        self.on_error(name, error)
