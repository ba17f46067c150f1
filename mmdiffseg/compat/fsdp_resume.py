"""Resuming a training that mmengine has shared out by FSDP.

For: mmengine and onedl-mmengine 0.10, whose `FSDPStrategy` hands the optimizer's state to PyTorch
in the order of arguments of 2.0. PyTorch 2.1 changed the order, and no such run could be resumed.
Arguments given by name fit every version.
"""


def mend_fsdp_resume() -> None:
    """Let mmengine's `FSDPStrategy`, which has been imported, load the state of an optimizer."""
    from mmengine._strategy.fsdp import FSDPStrategy
    from torch.distributed.fsdp import FullyShardedDataParallel

    def load_optim_state_dict(self, state_dict: dict) -> None:
        """Load the state that :meth:`optim_state_dict` returned."""
        optimizer = self.optim_wrapper.optimizer
        shard = FullyShardedDataParallel.optim_state_dict_to_load(
            model=self.model, optim=optimizer, optim_state_dict=state_dict
        )
        self.optim_wrapper.load_state_dict(shard)

    FSDPStrategy.load_optim_state_dict = load_optim_state_dict
