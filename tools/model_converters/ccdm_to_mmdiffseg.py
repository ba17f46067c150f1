"""Convert a checkpoint that the code of CCDM wrote.

    python tools/model_converters/ccdm_to_mmdiffseg.py SRC DST [--config CONFIG] [--trust]

SRC is a file of a training run, with the averaged weights under ``average_model``, or a URL. Which
of the released networks it holds shows in the widths of its blocks; --config names another. The
features of DINO, which it does not hold, come from timm. DST gets the weights under mmdiffseg's
names, and as ``meta`` the classes and the config, with the tables of the noise schedule as
released.
"""

from pathlib import Path

from torch import Tensor

from mmdiffseg.compat.checkpoint import local_file, read_file
from mmdiffseg.engine import command_line
from mmdiffseg.engine.converting import read_model_config, run, write_checkpoint
from mmdiffseg.models.backbones.timm_weights import load_timm_weights

CONFIGS = Path(__file__).parents[2] / 'configs/stochastic'
MIDDLE = 'middle_block.0.in_layers.0.weight'
JOINED = 'input_blocks.11.0.in_layers.0.weight'
# channels that both of them read -> config; 512 are 128 and the 384 features of DINO
RELEASED = {
    (128, 96): 'ccdm_lidc.py',
    (160, 128): 'ccdm_lidc_9m.py',
    (256, 128): 'ccdm_cityscapes.py',
    (256, 512): 'ccdm_cityscapes_dino.py',
}


def average_weights(checkpoint: object, source: str) -> dict[str, Tensor]:
    """Take the averaged weights out of what a training run saved.

    Raises:
        ValueError: They are not in there.
    """
    weights = checkpoint.get('average_model') if isinstance(checkpoint, dict) else None
    if not isinstance(weights, dict) or MIDDLE not in weights:
        held = ', '.join(map(str, weights or checkpoint)) if isinstance(checkpoint, dict) else ''
        raise ValueError(
            f'{source} is not a CCDM checkpoint: it has no {MIDDLE} under `average_model`, but '
            f'{held[:80] or type(checkpoint).__name__}'
        )
    return weights


def released_config(weights: dict[str, Tensor], source: str) -> Path:
    """The config of the released network that has the widths of these weights.

    Raises:
        ValueError: None has.
    """
    widths = tuple(len(weights[name]) for name in (MIDDLE, JOINED) if name in weights)
    if widths not in RELEASED:
        raise ValueError(
            f'{MIDDLE} and {JOINED} of {source} have the widths {widths}, those of the released '
            f'networks {", ".join(map(str, RELEASED))}: name the config of yours by --config'
        )
    return CONFIGS / RELEASED[widths]


def convert_file(
    src: str, dst: Path, config_path: str | None = None, *, trust: bool = False
) -> str:
    """Convert one checkpoint, checking it against the model before writing anything.

    Args:
        src: Checkpoint of the authors' code, a file or a URL.
        dst: File to write.
        config_path: Config of the model, where it is none of the released ones.
        trust: Read the file even if it holds more than tensors and plain values.

    Returns:
        What was done, in words.

    Raises:
        ValueError: The weights are not those of the model.
    """
    weights = average_weights(read_file(local_file(src), trust=trust), src)
    config = read_model_config(config_path or released_config(weights, src))
    schedule = config.model.decode_head.noise_schedule.schedule
    if schedule.type == 'mmdiffseg.CosineBetas':
        schedule.type = 'mmdiffseg.CCDMCosineBetas'
    weights = {f'decode_head.denoiser.{name}': weight for name, weight in weights.items()}
    frozen = config.model.backbone.get('backbone')
    if frozen and frozen.pretrained:  # not in their checkpoint
        weights |= {
            f'backbone.backbone.network.{name}': weight
            for name, weight in load_timm_weights(frozen.pretrained).items()
        }
    return write_checkpoint(weights, config, src=src, dst=dst)


def main() -> None:
    """Read the command line and convert."""
    run(convert_file, __doc__)


if __name__ == '__main__':
    command_line.run_script(main)
