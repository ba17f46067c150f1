"""Everything that exists only because of somebody else's version, one subject a file."""

from mmdiffseg.compat.after_import import after_import
from mmdiffseg.compat.fsdp_resume import mend_fsdp_resume
from mmdiffseg.compat.late_imports import import_late
from mmdiffseg.compat.mmcv_ops import install_stand_in
from mmdiffseg.compat.openmmlab import check_openmmlab, is_installed
from mmdiffseg.compat.panoptic_api import install_panopticapi
from mmdiffseg.compat.torchvision_ops import declare_missing_ops

__all__ = ['apply', 'check_openmmlab']


def apply() -> None:
    """Run on `import mmdiffseg`: check what is installed, and mend what needs it."""
    if not is_installed():
        return  # exported models run without it; whatever needs it says so
    check_openmmlab()
    import_late()
    install_stand_in()
    install_panopticapi()
    declare_missing_ops()
    after_import('mmengine._strategy.fsdp', mend_fsdp_resume)
    after_import('mmengine.runner.checkpoint', _guard_checkpoints)
    after_import('mmengine.config.utils', _name_packages)


def _name_packages() -> None:
    from mmdiffseg.compat.package_names import register_package_names

    register_package_names()


def _guard_checkpoints() -> None:
    from mmdiffseg.compat.checkpoint import guard_mmengine  # imports torch

    guard_mmengine()
