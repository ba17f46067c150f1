"""Configs that a checkpoint holds as text, read as data.

For: mmengine and onedl-mmengine 0.10, which run the text as Python when an inferencer gets weights
and no config, and when a training resumes from a file with `meta.config`. A config can also name
any function of any module as a `type`.
"""

import ast
import re
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

SCOPES = ('mmengine', 'mmcv', 'mmseg', 'mmdet', 'mmpretrain', 'mmdiffseg')
# A class that one of them registers; a name without a dot may be a module, see `_is_module`.
_NAMING = ('type', '_scope_', 'default_scope')
_REGISTERED = re.compile(rf'(({"|".join(SCOPES)})\.[A-Z])?\w+')


def read_config(text: str) -> dict[str, Any]:
    """Read the text of a config without running it.

    Args:
        text: Assignments of plain values, ``dict(...)`` among them, as mmengine writes them.

    Raises:
        ValueError: It holds anything else.
    """
    if not isinstance(text, str):
        raise ValueError(f'the config is not text but {type(text).__name__}')
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f'the config is not Python: {error}') from error
    return dict(_assignment(statement) for statement in statements)


def _assignment(statement: ast.stmt) -> tuple[str, Any]:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return name, _value(value)
    raise _not_plain(statement)


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Call(func=ast.Name(id='dict'), args=[ast.Dict() as inner], keywords=[]):
            return _value(inner)  # where a key is no identifier
        case ast.Call(func=ast.Name(id='dict'), args=[], keywords=pairs):
            if any(pair.arg is None for pair in pairs):
                raise _not_plain(node)
            return {pair.arg: _value(pair.value) for pair in pairs}
        case ast.Dict(keys=keys, values=values) if None not in keys:
            return {_value(key): _value(value) for key, value in zip(keys, values, strict=True)}
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item) for item in items)
    try:
        return ast.literal_eval(node)  # numbers with a sign, strings, sets, None, ...
    except ValueError:
        raise _not_plain(node) from None


def _not_plain(node: ast.stmt | ast.expr) -> ValueError:
    return ValueError(
        f'line {node.lineno} of the config is more than a plain value: {ast.unparse(node)[:80]}'
    )


def check_stored_config(text: str) -> None:
    """Check that a config of unknown origin can neither run code nor name any.

    Raises:
        ValueError: It can; the sentence shows where.
    """
    check_plain_config(read_config(text))


def check_plain_config(config: dict[str, Any]) -> None:
    """Check a config that has been read as data; see :func:`check_stored_config`."""
    if '_base_' in config:
        raise ValueError(f'the config is built on other files: {config["_base_"]}')
    imports = config.get('custom_imports') or {}
    modules = imports.get('imports', ()) if isinstance(imports, dict) else imports
    for module in [modules] if isinstance(modules, str) else modules:
        if str(module).partition('.')[0] not in SCOPES:
            raise ValueError(f'the config imports {module}')
    for key, name in _names(config):
        if key == 'type':
            known = _REGISTERED.fullmatch(str(name)) and not _is_module(str(name))
        else:
            known = name in (None, *SCOPES)
        if not known:
            raise ValueError(f'the config gives {name} as its {key}')


def _is_module(name: str) -> bool:
    """Whether mmengine, which finds no such class, would import a module of this name."""
    try:
        spec = None if '.' in name else find_spec(name)
    except ValueError:  # such as __main__
        return True
    return spec is not None and spec.origin is not None  # a folder alone runs nothing


def _names(value: Any) -> Iterator[tuple[str, Any]]:
    """All types and scopes below a value."""
    if isinstance(value, dict):
        yield from ((key, value[key]) for key in _NAMING if key in value)
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _names(item)
