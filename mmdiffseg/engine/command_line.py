"""How the tools read their arguments, and how they end: a sentence and an exit code."""

import argparse
import ast
import logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from traceback import walk_tb
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.logging import MMLogger
from mmengine.utils import import_modules_from_strings

from mmdiffseg.engine import launch
from mmdiffseg.engine.allocator import keep_freed_memory
from mmdiffseg.engine.config_checks import check_settings

BAD_INPUT = (
    ValueError,
    ImportError,
    SyntaxError,
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
    UnpicklingError,
)
#: of the system's own errors about a file
FIXES = {
    FileExistsError: 'is a file, and a folder is needed there: choose another name',
    NotADirectoryError: 'lies below a file, not a folder: choose another name',
    FileNotFoundError: 'is not there',
    IsADirectoryError: 'is a folder, and a file is needed',
    PermissionError: 'may not be read or written: change its permissions, or choose another place',
}
#: modules whose errors of other kinds name a part or an argument of the config
NAMING_PARTS = ('mmengine.registry.build_functions', 'mmdiffseg.models.explained_arguments')
#: what torch says where Python says MemoryError
NO_MEMORY = re.compile(r"out of memory|can't allocate memory", re.IGNORECASE)
#: what mmengine says of a name that it does not know
UNREGISTERED = re.compile(r'(?P<type>\S+) is not in the (?P<scope>\S+)::(?P<kind>.+?) registry')


class _Changes(DictAction):
    """Reads ``--cfg-options``; mmengine's own action knows no dicts and names no bad value."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        for value in values:
            key, is_there, _ = value.partition('=')
            if not is_there or not all(key.split('.')):
                parser.error(f'{option_string} takes KEY=VALUE, got {value!r}')
        super().__call__(parser, namespace, values, option_string)

    @staticmethod
    def _parse_iterable(val: str) -> Any:
        try:
            return ast.literal_eval(val) if val[:1] == '{' else DictAction._parse_iterable(val)
        except (AssertionError, SyntaxError, ValueError) as error:
            cause = str(error).partition(': <ast')[0]  # names no object of Python's parser
            raise ValueError(f'--cfg-options cannot read the value {val}: {cause}') from error


def make_parser(description: str) -> argparse.ArgumentParser:
    """Make the parser of a tool, which shows the tool's docstring and takes ``--debug``."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--debug', action='store_true', help='show the traceback of an error')
    return parser


def positive(text: str) -> int:
    """A whole number from 1, as a ``type`` of argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'must be a whole number from 1, got {text}')
    return int(text)


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``, which changes the config."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=_Changes,
        default={},
        metavar='KEY=VALUE',
        help='change the config: key=value, nested.key="[a,b]" without white space',
    )


def run(
    main: Callable[[argparse.Namespace], Any], parse_args: Callable[[], argparse.Namespace]
) -> None:
    """Run a tool. An error ends it with one sentence and exit code 2 for bad input, else 1.

    ``--debug`` lets the error through. Without it, the log file of a run that has begun keeps the
    traceback.

    Args:
        main: What the tool does with its arguments.
        parse_args: Reads them.
    """
    keep_freed_memory()
    _end_in_a_sentence(lambda: main(parse_args()), debug='--debug' in sys.argv)


def run_script(main: Callable[[], Any]) -> None:
    """Run a tool that reads its own arguments, to the same end as :func:`run`.

    Args:
        main: The tool. A text that it exits with is a sentence about bad input.
    """
    debug = '--debug' in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != '--debug']

    def call() -> None:
        try:
            main()
        except SystemExit as end:
            if isinstance(end.code, str):
                raise ValueError(end.code) from end
            raise

    _end_in_a_sentence(call, debug=debug)


def _end_in_a_sentence(call: Callable[[], Any], *, debug: bool) -> None:
    try:
        call()
    except Exception as error:
        if debug:
            raise
        _log_traceback(error)
        print(f'{Path(sys.argv[0]).name}: error: {_sentence(error)}', file=sys.stderr)
        sys.exit(2 if is_bad_input(error) else 1)


def is_bad_input(error: Exception) -> bool:
    """Whether an error comes from what the user gave; a full disk, for one, does not."""
    if isinstance(error, KeyError | TypeError):  # of a part of the config
        return _raised_in(error) in NAMING_PARTS
    return isinstance(error, BAD_INPUT) or (type(error) is OSError and error.errno is None)


def _raised_in(error: Exception) -> str:
    """The module that raised an error."""
    *_, (frame, _) = walk_tb(error.__traceback__)
    return frame.f_globals['__name__']


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add what training and testing have in common: the config, where things lie, the launcher."""
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='for logs and results (work_dirs/CONFIG_SPLIT)')
    parser.add_argument('--data-root', help='where the data lie, instead of what the config says')
    parser.add_argument('--split', help="one of the config's `splits`, such as testA")
    add_cfg_options(parser)
    parser.add_argument(
        '--trust', action='store_true', help='read checkpoints even if they could run any code'
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local-rank', '--local_rank', type=int, default=0)


def read_config(path: str, changes: dict) -> Config:
    """Read a config file and change it by ``--cfg-options``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no config, or fails; the sentence names it.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'there is no config {path}')
    try:
        cfg = Config.fromfile(path)
    except RecursionError as error:
        raise ValueError(
            f'{path} cannot be read as a config: its _base_ leads to itself'
        ) from error
    except (Exception, SystemExit) as error:  # a config is a program, which can end in any way
        cause = ' '.join(str(error).split())
        raise ValueError(
            f'{path} cannot be read as a config: {type(error).__name__}: {cause}'
        ) from error
    change_config(cfg, changes)
    return cfg


def as_config(config: str | os.PathLike | Config) -> Config:
    """A config, or that of a file, whose settings go together.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no config, or fails, or its settings do not go together.
    """
    if not isinstance(config, Config):
        return read_config(str(config), {})
    check_settings(config)
    return config


def change_config(cfg: Config, changes: dict) -> None:
    """Change a config by ``--cfg-options``, and import what they name as ``custom_imports``.

    Raises:
        ImportError: There is no such module.
        ValueError: ``custom_imports`` is no dictionary, or settings do not go together.
    """
    try:
        cfg.merge_from_dict(changes)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(
            f'{cfg.filename} has no place for --cfg-options {", ".join(changes)}: part of the name '
            'stands for a list, whose entries are numbered from 0, or for a plain value'
        ) from error
    if any(key.split('.')[0] == 'custom_imports' for key in changes):
        imports = cfg.custom_imports
        if not isinstance(imports, dict):
            raise ValueError(
                f"custom_imports={imports!r} must be a dictionary such as {{'imports': ['mine']}}"
            )
        import_modules_from_strings(**imports)
    check_settings(cfg)


def read_run_config(args: argparse.Namespace) -> Config:
    """Read the config of a training or test run, changed by the options of both."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config, {})
    if 'model' not in cfg:
        raise ValueError(f'{args.config} has no model: give the config of one')
    name = Path(args.config).stem
    if args.split:
        launch.set_split(cfg, args.split)
        name = f'{name}_{args.split}'
    change_config(cfg, args.cfg_options)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or f'work_dirs/{name}'
    if args.data_root:
        launch.set_data_root(cfg, args.data_root)
    return cfg


def need_display(instead: str) -> None:
    """Check that a window can be opened.

    Args:
        instead: What to do without, for the message.

    Raises:
        ValueError: There is no display.
    """
    names = ('DISPLAY', 'WAYLAND_DISPLAY')
    if sys.platform.startswith('linux') and not any(os.environ.get(name) for name in names):
        raise ValueError(f'there is no display to open a window on: {instead}')


def _sentence(error: Exception) -> str:
    text = error.args[0] if isinstance(error, KeyError) and error.args else str(error)
    if is_bad_input(error):
        unknown = UNREGISTERED.match(text)
        if unknown:
            return (
                f'type={unknown["type"]!r} is not a registered {unknown["kind"]} of '
                f'{unknown["scope"]}: correct it, or import the module that registers it by '
                'custom_imports'
            )
        if isinstance(error, OSError) and error.filename is not None:
            return f'{error.filename}: {FIXES.get(type(error), error.strerror)}'
        return text
    if isinstance(error, MemoryError) or NO_MEMORY.search(text):
        return f'there is not enough memory: make sizes or numbers smaller ({text[:200]})'
    return f'{type(error).__name__}: {text} (--debug shows where)'


def _log_traceback(error: Exception) -> None:
    if 'mmengine.runner' not in sys.modules:  # no run has begun, and a logger would import torch
        return
    logger = MMLogger.get_current_instance()
    info = (type(error), error, error.__traceback__)
    record = logging.LogRecord(logger.name, logging.ERROR, __file__, 0, 'the end:', None, info)
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)
