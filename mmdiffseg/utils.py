"""What `mmengine.hub` asks of a package."""

import time

from mmengine.registry import DefaultScope


def register_all_modules(init_default_scope: bool = True) -> None:
    """Import all that is registered.

    Args:
        init_default_scope: Look up names without a prefix in mmseg. Our configs of mmdet's models
            have prefixes.
    """
    import mmdiffseg.datasets
    import mmdiffseg.engine.hooks
    import mmdiffseg.engine.model_wrappers
    import mmdiffseg.engine.optim_wrappers
    import mmdiffseg.evaluation
    import mmdiffseg.models  # noqa: F401

    if init_default_scope:
        DefaultScope.get_instance(f'mmseg-{time.time()}', scope_name='mmseg')
