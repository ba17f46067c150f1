"""Ask for things in a picture by sentences, without any training.

    python demo/referring_demo.py PICTURE "red circle on the left" "blue square" --out answers

Writes one page for each sentence: the answer, where Stable Diffusion attends to the word that the
sentence is about, and the best proposals with their scores. The default config is the tiny world of
coloured shapes in demo/tiny_world, which runs anywhere and knows nothing else.
"""

import argparse
from pathlib import Path

from PIL import Image

import mmdiffseg  # noqa: F401  before what it mends
from mmdiffseg.apis.referring_inferencer import ReferringInferencer, draw_referral, read_rgb

CONFIG = Path(__file__).resolve().parents[1] / 'configs/_base_/models/ref_diff_tiny.py'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('image', type=Path)
    parser.add_argument('texts', nargs='+', metavar='SENTENCE')
    parser.add_argument('--config', type=Path, default=CONFIG)
    parser.add_argument('--out', type=Path, default=Path('work_dirs/referring_demo'))
    parser.add_argument('--device', help='such as cuda:0 or cpu')
    return parser.parse_args()


def main() -> None:
    """Answer, draw, and tell."""
    args = parse_args()
    try:
        inferencer = ReferringInferencer(args.config, device=args.device)
        image, referrals = read_rgb(args.image), inferencer(args.image, args.texts)
    except (ImportError, OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
    args.out.mkdir(parents=True, exist_ok=True)
    for number, referral in enumerate(referrals):
        page = args.out / f'{args.image.stem}_{number}.png'
        Image.fromarray(draw_referral(image, referral)).save(page)
        share = referral.mask.float().mean().item()
        print(
            f'{referral.text!r}: about {referral.root.word!r}, proposal {referral.index + 1} of '
            f'{len(referral.proposals)}, {share:.1%} of the picture, see {page}'
        )


if __name__ == '__main__':
    main()
