"""JSON files that users write, read with errors that name the file."""

import json
from pathlib import Path


def read_json_object(path: str | Path) -> dict:
    """Read a JSON object.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It holds something else.
    """
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
    except ValueError as error:  # of the JSON or of its encoding
        raise ValueError(f'{path} is not a JSON file: {error}') from error
    if not isinstance(content, dict):
        raise ValueError(f'{path} must hold a JSON object, but holds a {type(content).__name__}')
    return content
