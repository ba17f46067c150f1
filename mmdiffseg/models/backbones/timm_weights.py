"""ImageNet weights under timm's names, from timm's repositories on the hub or from a file."""

from pathlib import Path

from torch import Tensor

from mmdiffseg.compat.checkpoint import read_file

HUB_FILE = 'model.safetensors'


def load_timm_weights(source: str) -> dict[str, Tensor]:
    """Read a state dict in timm's names.

    Args:
        source: A timm model name with its tag, such as ``convnext_tiny.fb_in1k`` (downloaded once,
            then cached), or the path of a ``.safetensors`` / ``.pth`` file.

    Raises:
        FileNotFoundError: The file is neither here nor in the cache, and cannot be downloaded.
        ValueError: ``source`` is neither a file nor the name of weights that timm publishes.
    """
    import timm  # takes a second, and most models do without
    from huggingface_hub import hf_hub_download
    from timm.models import load_state_dict

    if Path(source).is_file():
        if Path(source).suffix == '.safetensors':
            return load_state_dict(source, use_ema=False)
        # not by timm, which before 1.0.31 would run code from the file
        content = read_file(Path(source), trust=False)
        return content.get('state_dict') or content.get('model') or content
    if Path(source).suffix in ('.safetensors', '.pth', '.pt', '.bin'):
        raise FileNotFoundError(
            f'there are no pretrained weights at {source!r}: correct the path in '
            f"'model.backbone.pretrained', or set it to None to start from random weights"
        )
    if source not in timm.list_pretrained():
        raise ValueError(
            f'{source!r} is neither a file nor weights that timm publishes: give a name with its '
            f"tag, such as 'swin_tiny_patch4_window7_224.ms_in1k', a path, or None"
        )
    repository = timm.get_pretrained_cfg(source).hf_hub_id
    try:
        return load_state_dict(hf_hub_download(repository, HUB_FILE), use_ema=False)
    except OSError as error:
        raise FileNotFoundError(
            f'the pretrained weights {source!r} are not cached and the hub cannot be reached: '
            f'download https://huggingface.co/{repository}/resolve/main/{HUB_FILE} elsewhere and '
            f"set 'model.backbone.pretrained' to its path, or to None to start from random weights"
        ) from error
