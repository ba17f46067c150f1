"""How far one model can be trusted, or several: one report, for any model of mmseg.

    python tools/analysis_tools/trust_report.py CONFIG CHECKPOINT \
        --against OTHER_CONFIG OTHER_CHECKPOINT --temperature 0.3 --corrupt blur jpeg

Measures calibration (ECE, Brier score, ...), how well every uncertainty of the models ranks the
errors of pixels (AURC, AUSE) and of images (failure detection), the error of areas, and the
guarantee of the checkpoint, if it has one (see conformal.py). Every measure and every difference to
the first --against comes with a bootstrap interval. Prints a table and writes report.html, which
needs no other file, and report.json. Memory does not grow with the number of images.
"""

from argparse import Namespace

from mmdiffseg.apis import trust_report
from mmdiffseg.engine import command_line


def parse_args() -> Namespace:
    """Read the command line."""
    parser = command_line.make_parser(__doc__)
    trust_report.add_arguments(parser)
    return parser.parse_args()


if __name__ == '__main__':
    command_line.run(trust_report.main, parse_args)
