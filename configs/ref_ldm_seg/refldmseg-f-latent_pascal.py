_base_ = [
    '../_base_/models/ref_ldm_seg_v1-f-latent.py',
    '../_base_/datasets/in_context_pascal.py',
    '../_base_/schedules/ref_ldm_seg_lora_80k.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(batch_size=16)
