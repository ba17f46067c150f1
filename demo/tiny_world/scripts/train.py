"""Train the whole tiny world, one part after the other.

    python demo/tiny_world/scripts/train.py --out work_dirs/tiny_world

The VAE comes before the text-to-image model, which works on its latents; CLIP before Alpha-CLIP,
which starts from it. On two cores, run these two pairs beside each other instead.
"""

import argparse
import subprocess
import sys
from pathlib import Path

PARTS = ('train_vae.py', 'train_text_to_image.py', 'train_clip.py', 'train_alpha_clip.py')


def main() -> None:
    """Run the trainings, each as a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--out', type=Path, default=Path('work_dirs/tiny_world'), help='%(default)s'
    )
    parser.add_argument('--seed', type=int, default=0, help='(%(default)s)')
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier result')
    args = parser.parse_args()
    if args.out.exists() and not args.overwrite:
        parser.error(f'{args.out} exists: add --overwrite to replace it, or choose another --out')
    for part in PARTS:
        print(f'{part}:', flush=True)
        command = [sys.executable, Path(__file__).with_name(part), '--out', args.out]
        command += ['--seed', args.seed, *(['--overwrite'] if args.overwrite else [])]
        if subprocess.run(list(map(str, command))).returncode:
            sys.exit(f'{part} failed, see above')


if __name__ == '__main__':
    main()
