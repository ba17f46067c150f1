r"""Count multiply-adds and parameters of a model, with mmseg's own tool.

    python tools/analysis_tools/get_flops.py CONFIG --shape 512 512 \
        --cfg-options model.decode_head.steps=1

The count covers encoding and all sampling steps; two counts that differ in `steps` tell them
apart. As in mmseg it leaves out what is no matrix product, and the auxiliary head.
"""

from mmdiffseg.engine.launch import run_mmseg_tool
from mmdiffseg.models.layers.deform_attn import set_deform_attn_impl

if __name__ == '__main__':
    set_deform_attn_impl('grid_sample')  # made of operators that can be traced on every device
    run_mmseg_tool('analysis_tools/get_flops.py')
