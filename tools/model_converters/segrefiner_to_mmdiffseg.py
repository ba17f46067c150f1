"""Convert a checkpoint that the SegRefiner authors released.

    python tools/model_converters/segrefiner_to_mmdiffseg.py SRC DST [--config CONFIG]

SRC is ``segrefiner_lr_latest.pth`` or ``segrefiner_hr_latest.pth``, a file or a URL, or a
checkpoint of one's own training with their code. Both released networks are the same; --config
names a model of another width, or the config ``segrefiner_lr_lvis.py`` for the mode of the first.
DST gets the weights under mmdiffseg's names, and the classes, the palette and the config as
``meta``.
"""

from pathlib import Path

import torch
from torch import Tensor

from mmdiffseg.compat.checkpoint import load_checkpoint_file
from mmdiffseg.engine import command_line
from mmdiffseg.engine.converting import read_model_config, run, write_checkpoint

CONFIG = Path(__file__).parents[2] / 'configs/refine/segrefiner_hr_dis5k.py'
THEIRS = 'denoise_model.'
OURS = 'decode_head.denoiser.'
STEM = f'{OURS}input_blocks.0.0.weight'
# constants of the loss that a checkpoint holds
LOSS = 'loss_texture.'


def convert(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename a state dict; the mask comes before the image in the first layer, not after it."""
    renamed = {
        (OURS + name.removeprefix(THEIRS) if name.startswith(THEIRS) else name): weight
        for name, weight in weights.items()
        if not name.startswith(LOSS)
    }
    image, mask = renamed[STEM].split([3, 1], dim=1)
    return {**renamed, STEM: torch.cat([mask, image], dim=1)}


def convert_file(
    src: str, dst: Path, config_path: str | None = None, *, trust: bool = False
) -> str:
    """Convert one checkpoint, checking it against the model before writing anything.

    Args:
        src: Checkpoint of the authors, a file or a URL.
        dst: File to write.
        config_path: Config of the model, where it is not as wide as the released one.
        trust: Read the file even if it holds more than tensors and plain values.

    Returns:
        What was done, in words.

    Raises:
        ValueError: The weights are not those of the model.
    """
    weights = load_checkpoint_file(src, trust=trust)['state_dict']
    stem = weights.get(STEM.replace(OURS, THEIRS))
    if stem is None or stem.shape[1] != 4:
        raise ValueError(
            f'{src} is not a SegRefiner checkpoint: it has no {STEM.replace(OURS, THEIRS)} of 4 '
            f'channels, but {", ".join(list(weights)[:3])}, ...'
        )
    config = read_model_config(config_path or CONFIG)
    return write_checkpoint(convert(weights), config, src=src, dst=dst)


def main() -> None:
    """Read the command line and convert."""
    run(convert_file, __doc__)


if __name__ == '__main__':
    command_line.run_script(main)
