# Ref-Diff by the formulas of the paper
_base_ = './ref_diff.py'
model = dict(
    generator=dict(attn_type='softmax', attn_guidance=None, resize='bilinear'),
    discriminator=dict(vit_output_layer=-2),
    positional_bias=dict(
        directions=('left', 'right', 'top', 'bottom'), word_boundary=True, on=('soft',)
    ),
    proposal_filter=None,
    # 0.1 gen + 0.9 (0.7 hard + 0.3 soft), and one mean text feature
    fusion=dict(hard=0.63, soft=0.27, gen=0.1, hard_text=(0.5, 0.5), soft_text=(0.5, 0.5)),
)
