"""The command `mmdiffseg`: what `mmdiffseg.apis` does, from a shell."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from mmdiffseg.engine import command_line
from mmdiffseg.version import __version__

#: what each command does; its module has `add_arguments(parser)` and `run(args)`
COMMANDS = dict(
    predict='segment pictures, folders or a video',
    train='train on a folder of pictures and a folder of masks',
    models='list the models that come with the package',
    info='tell what a model is and what can be set',
    convert='make a model folder of a config and a checkpoint',
    report='measure how far models can be trusted',
    export='write a model as graphs that run without torch',
    refine='make masks better that somebody else made',
    serve='serve a web page for a model',
)


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; the module of the command in question is imported, and no other."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    table = '\n'.join(f'  {name:10}{words}' for name, words in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog='mmdiffseg',
        usage='mmdiffseg COMMAND ...',
        description='Segment pictures by diffusion models.',
        epilog=f'commands:\n{table}\n\n`mmdiffseg COMMAND --help` tells more.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=__version__)
    parser.add_argument('command', choices=COMMANDS, metavar='COMMAND', help=argparse.SUPPRESS)
    name = parser.parse_args(arguments[:1]).command

    command = import_module(f'mmdiffseg.commands.{name}')
    own = command_line.make_parser(command.__doc__)
    own.prog = f'mmdiffseg {name}'
    own.set_defaults(run=command.run)
    command.add_arguments(own)
    return own.parse_args(arguments[1:])


def main() -> None:
    """Run a command; an error ends it with one sentence."""
    command_line.run(lambda args: args.run(args), parse_args)


if __name__ == '__main__':
    main()
