"""Ask for things in a picture by sentences, without any training.

    python demo/referring_demo.py PICTURE "red circle on the left" "blue square" --out answers

Writes one page for each sentence: the answer, the attention of Stable Diffusion to the word that
the sentence is about, and the best proposals with their scores. The default config is the tiny
world of coloured shapes in demo/tiny_world, which runs anywhere and knows nothing else.
"""

import argparse
from pathlib import Path

from PIL import Image

import mmdiffseg  # noqa: F401  before what it mends
from mmdiffseg.apis.referring_inferencer import ReferringInferencer, read_rgb
from mmdiffseg.engine import command_line
from mmdiffseg.visualization.pages.referral import answer_page

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
    parser.add_argument('--overwrite', action='store_true', help='replace pages of an earlier call')
    parser.add_argument('--device', help='such as cuda:0 or cpu')
    return parser.parse_args()


def main() -> None:
    """Answer, draw, and tell."""
    args = parse_args()
    pages = [args.out / f'{args.image.stem}_{i}.png' for i in range(len(args.texts))]
    taken = [str(page) for page in pages if page.exists()]
    if taken and not args.overwrite:
        raise SystemExit(f'{taken[0]} exists: choose another --out, or replace it by --overwrite')
    try:
        image = read_rgb(args.image)
        inferencer = ReferringInferencer(args.config, device=args.device)
        refusals = {text: inferencer.refusal(text) for text in args.texts}
        readable = [text for text in args.texts if refusals[text] is None]
        referrals = iter(inferencer(args.image, readable) if readable else [])
    except (ImportError, OSError, ValueError, FloatingPointError) as error:
        raise SystemExit(str(error)) from error
    args.out.mkdir(parents=True, exist_ok=True)
    for text, page in zip(args.texts, pages, strict=True):
        if refusals[text] is not None:
            print(f'{text!r}: not answered')
            continue
        referral = next(referrals)
        Image.fromarray(answer_page(image, referral)).save(page)
        share = referral.mask.float().mean().item()
        print(
            f'{referral.text!r}: about {referral.root.word!r}, proposal {referral.index + 1} of '
            f'{len(referral.proposals)}, {share:.1%} of the picture, see {page}'
        )
    if len(readable) < len(args.texts):
        raise SystemExit('\n'.join(filter(None, refusals.values())))


if __name__ == '__main__':
    command_line.run_script(main)
