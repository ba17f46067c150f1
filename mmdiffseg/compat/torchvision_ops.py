"""Import a torchvision that was built for another torch than the installed one.

Some package indexes carry only the CUDA build of torchvision (0.19 and later). Beside a torch of
another build, such as 2.13.0+cpu, its operators do not load. torchvision tolerates that, but then
describes two of them to torch by name, which raises on import. timm and mmseg import torchvision
and call neither operator. Where both packages are of one build, nothing is done or imported.
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
