"""Take the map head out of a checkpoint that the DDP authors released for BEV maps.

    python tools/model_converters/ddp_bev_to_mmdiffseg.py SRC DST [--config CONFIG]

SRC is a file or a URL: the camera or the fusion model, recognised by the channels of its feature.
DST gets the weights of the head under mmdiffseg's names, and as ``meta`` the classes, the config
and the label encoder. What computes the BEV feature stays in SRC, for BEVFusion to load; its
optimizer's state is dropped. Weights without time modulation get a config without it.
"""

from collections import Counter
from pathlib import Path

from torch import Tensor

from mmdiffseg.compat.checkpoint import load_checkpoint_file
from mmdiffseg.engine import command_line
from mmdiffseg.engine.converting import read_model_config, run, write_checkpoint

CONFIGS = Path(__file__).parents[2] / 'configs' / 'ddp'
HEAD = {
    'embedding_table.': 'decode_head.label_encoder.embedding_table.',
    'transform.': 'decode_head.denoiser.transform.',
    'time_mlp.': 'decode_head.denoiser.time_mlp.',
    'heads.map.encoder.': 'decode_head.denoiser.encoder.',
    'heads.map.conv_seg.': 'decode_head.conv_seg.',
}
FEATURE = ('encoders.camera.', 'encoders.lidar.', 'fuser.', 'decoder.')
# channels of the BEV feature -> released experiment
RELEASED = {
    256: 'ddp_bevfusion-camera_nuscenes-map',
    512: 'ddp_bevfusion-fusion_nuscenes-map',
}


def rename(name: str) -> str:
    """Map a name of the authors' head to ours."""
    for theirs, ours in HEAD.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def convert(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of the head, leaving out those that compute the feature."""
    return {rename(k): v for k, v in weights.items() if not k.startswith(FEATURE)}


def released_config(weights: dict[str, Tensor]) -> Path:
    """Find the config of a converted state dict by the channels of the feature.

    Raises:
        ValueError: No released experiment has as many.
    """
    joined = weights['decode_head.denoiser.transform.conv.weight'].shape[1]
    channels = joined - weights['decode_head.label_encoder.embedding_table.weight'].shape[1]
    if channels not in RELEASED:
        raise ValueError(
            f'no released experiment has a BEV feature of {channels} channels, but '
            f'{" or ".join(map(str, RELEASED))}: name the config of this model with --config'
        )
    return CONFIGS / f'{RELEASED[channels]}.py'


def convert_file(
    src: str, dst: Path, config_path: str | None = None, *, trust: bool = False
) -> str:
    """Convert the head of one checkpoint, checking it against the model before writing anything.

    Args:
        src: Checkpoint of the authors, a file or a URL.
        dst: File to write.
        config_path: Config of the model, where it is not a released one.
        trust: Read the file even if it holds more than tensors and plain values.

    Returns:
        What was done, and what was left, in words.

    Raises:
        ValueError: The weights are not those of the model, or of no released one.
    """
    released = load_checkpoint_file(src, trust=trust)['state_dict']
    weights = convert(released)
    needed = ('decode_head.label_encoder.embedding_table.weight', 'decode_head.conv_seg.weight')
    if not all(name in weights for name in (*needed, 'decode_head.denoiser.transform.conv.weight')):
        raise ValueError(
            f'{src} is not a DDP checkpoint for BEV maps, it lacks embedding_table, transform or '
            f'heads.map but has {", ".join(list(released)[:3])}, ...'
        )
    config = read_model_config(config_path or released_config(weights))
    timed = 'decode_head.denoiser.encoder.layers.0.time_mlp.1.weight' in weights
    config.model.decode_head.denoiser.time_modulation = timed
    done = write_checkpoint(weights, config, src=src, dst=dst)
    left = Counter(part.rstrip('.') for k in released for part in FEATURE if k.startswith(part))
    listed = ', '.join(f'{count} of {part}' for part, count in left.items())
    return (
        f'{done}, {"with" if timed else "without"} time modulation; left for BEVFusion: '
        f'{listed or "nothing"}'
    )


def main() -> None:
    """Read the command line."""
    run(convert_file, __doc__.splitlines()[0])


if __name__ == '__main__':
    command_line.run_script(main)
