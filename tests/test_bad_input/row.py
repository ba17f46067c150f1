"""A row of the table of bad inputs."""

from typing import NamedTuple


class Row(NamedTuple):
    """One bad input.

    Attributes:
        entry: The tool, or ``python``.
        input: Its command line, or the call.
        code: The exit code, or the name of the error.
        sentence: What is said, or a part of it.
        slow: Whether it takes seconds.
    """

    entry: str
    input: str
    code: int | str
    sentence: str
    slow: bool = False
