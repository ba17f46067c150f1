"""torchvision built for another torch than the one that is installed.

For: torchvision 0.19 and later from a package index that carries the CUDA build only, beside a
torch of another build, such as 2.13.0+cpu. Its operators do not load, which it bears, but it then
describes two of them to torch by name, which raises on import, and with it timm and mmseg, neither
of which calls one. Does nothing, and imports nothing, where both are of the same build.
"""

from importlib.metadata import PackageNotFoundError, version

from packaging.version import Version

_kept = []  # torch forgets the declarations of a library that is collected


def is_of_one_build() -> bool:
    """Tell whether torch and torchvision come from one place, or one of them is not there."""
    try:
        return Version(version('torch')).local == Version(version('torchvision')).local
    except PackageNotFoundError:
        return True


def declare_missing_ops() -> None:
    """Let `import torchvision` succeed; a call of an operator then says that it is missing."""
    if is_of_one_build():
        return
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if 'operator torchvision::' not in str(error):
            raise
        from torch.library import Library

        library = Library('torchvision', 'DEF')
        library.define('nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
        library.define('qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
        _kept.append(library)
