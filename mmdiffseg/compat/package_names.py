"""Names of distributions that mmengine looks up.

For: mmengine and onedl-mmengine 0.10. Their table knows neither this package, without which an
inferencer refuses our model names, nor the name under which onedl ships mmseg, without which
`_base_ = ['mmseg::...']` fails. An entry that is already right is left as it is.
"""

from importlib.metadata import PackageNotFoundError, distribution

from mmengine.config.utils import MODULE2PACKAGE


def register_package_names() -> None:
    """Add `mmdiffseg` to mmengine's table, and name mmseg as it is installed."""
    MODULE2PACKAGE.setdefault('mmdiffseg', 'mmdiffseg')
    for name in ('mmsegmentation', 'onedl-mmsegmentation'):
        if _is_distribution(name):
            MODULE2PACKAGE['mmseg'] = name
            return


def _is_distribution(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
