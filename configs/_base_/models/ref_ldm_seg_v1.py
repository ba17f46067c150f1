# The paper's first version: CLIP, an adapter per layer, LoRA; checkpoints of 54 MB
_base_ = './ref_ldm_seg.py'
model = dict(
    prompt_encoder=dict(
        type='mmdiffseg.CLIPPromptEncoder',
        checkpoint='openai/clip-vit-large-patch14',
        input_norm='half',
        token_mask='nearest',
    ),
    adapter='per_layer',
    lora=dict(r=4),
)
