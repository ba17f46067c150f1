# LDIS-n on the tiny models of demo/tiny_world
_base_ = './ref_ldm_seg_tiny.py'
model = dict(
    meta_arch=dict(
        _delete_=True,
        type='mmdiffseg.MultiStep',
        sampler=dict(type='DDIMScheduler'),
        steps=20,
        guidance=dict(query=1.5, prompt=7.0),
    ),
    pseudo_mask=dict(mask_alpha=0.4),
)
