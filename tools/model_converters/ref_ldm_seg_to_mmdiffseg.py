"""Convert a checkpoint that the code of Ref LDM-Seg (LDIS) wrote.

    python tools/model_converters/ref_ldm_seg_to_mmdiffseg.py SRC DST [--config CONFIG] [--trust]

SRC is a folder that DeepSpeed wrote, or the ``mp_rank_00_model_states.pt`` in it. It holds the
U-Net alone; whether of LDIS-1 or LDIS-n shows in its first convolution. The pseudo mask does not
show: it is that of the published model, or of CONFIG. Such a file holds more than tensors, so it
may take ``--trust`` to read it. DST gets the weights under mmdiffseg's names and as ``meta`` the
config and the settings of the pseudo mask.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

import mmdiffseg
from mmdiffseg.compat.checkpoint import local_file, read_file
from mmdiffseg.datasets.in_context import InContextDataset
from mmdiffseg.engine import command_line
from mmdiffseg.engine.converting import read_model_config, run
from mmdiffseg.models.extras import import_extra
from mmdiffseg.models.weights import load_exactly
from mmdiffseg.registry import LABEL_ENCODERS

CONFIGS = Path(__file__).parents[2] / 'configs' / '_base_' / 'models'
# input channels of the U-Net -> published model
PUBLISHED = {4: 'ref_ldm_seg_ldis-1.py', 8: 'ref_ldm_seg_ldis-n.py'}
STATES = Path('pytorch_model', 'mp_rank_00_model_states.pt')


def unet_weights(checkpoint: object, source: str) -> dict[str, Tensor]:
    """Take the U-Net's weights out of what DeepSpeed saved, as float32.

    Raises:
        ValueError: They are not in there.
    """
    weights = checkpoint.get('module') if isinstance(checkpoint, dict) else None
    if weights is None:
        raise ValueError(f'{source} was not written by DeepSpeed: it has no weights under `module`')
    weights = {name.removeprefix('module.'): value for name, value in weights.items()}
    if not {'conv_in.weight', 'encoder_hid_proj.weight'} <= weights.keys():
        raise ValueError(
            f'{source} is not an LDIS checkpoint: it lacks conv_in.weight or '
            'encoder_hid_proj.weight'
        )
    return {name: value.to(torch.float32, copy=True) for name, value in weights.items()}


def released_unet(weights: dict[str, Tensor]) -> nn.Module:
    """The U-Net of the release, Stable Diffusion 1.5's with an adapter, without memory."""
    width, prompt_width = weights['encoder_hid_proj.weight'].shape
    with torch.device('meta'):
        return import_extra('diffusers').UNet2DConditionModel(
            in_channels=weights['conv_in.weight'].shape[1],
            cross_attention_dim=width,
            encoder_hid_dim=prompt_width,
        )


def convert_file(
    src: str, dst: Path, config_path: str | None = None, *, trust: bool = False
) -> str:
    """Convert one checkpoint, checking it against the model before anything is written.

    Args:
        src: Folder or file of the authors' run, or a URL.
        dst: File to write.
        config_path: Config of the model, where it is not one of the published two.
        trust: Read the file even if it holds more than tensors and plain values.

    Returns:
        What was done, in words.

    Raises:
        ValueError: The weights are not those of the model.
    """
    path = local_file(Path(src, STATES) if Path(src).is_dir() else src)
    weights = unet_weights(read_file(path, trust=trust), src)
    load_exactly(
        released_unet(weights), {name: v.to('meta') for name, v in weights.items()}, source=src
    )
    channels = weights['conv_in.weight'].shape[1]
    config = read_model_config(config_path or CONFIGS / PUBLISHED[channels], ('model',))
    pseudo_mask = LABEL_ENCODERS.build(config.model.pseudo_mask)
    state = {f'unet.{name}': value for name, value in weights.items()}
    state['pseudo_mask.settings'] = pseudo_mask.settings
    meta = dict(
        mmdiffseg_version=mmdiffseg.__version__,
        source=src,
        cfg=config.pretty_text,
        dataset_meta=dict(InContextDataset.METAINFO),
        label_encoder={
            'type': 'mmdiffseg.PseudoMaskEncoder',
            **{name: getattr(pseudo_mask, name) for name in ('low', 'high', 'mask_alpha')},
        },
    )
    dst.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict=state, meta=meta), dst)
    return f'{len(state)} tensors of {Path(config.filename).stem} written to {dst}'


def main() -> None:
    """Read the command line."""
    run(convert_file, __doc__.splitlines()[0])


if __name__ == '__main__':
    command_line.run_script(main)
