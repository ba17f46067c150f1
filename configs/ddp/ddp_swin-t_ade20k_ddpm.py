# Sampling: ancestral (DDPM) instead of deterministic (DDIM); trained the same way
_base_ = './ddp_swin-t_ade20k.py'
model = dict(
    decode_head=dict(
        diffusion_sampler=dict(_delete_=True, type='mmdiffseg.DDPMSampler', time_difference=1)
    )
)
