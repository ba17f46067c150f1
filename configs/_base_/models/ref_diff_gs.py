# Ref-Diff/GS: proposals by SAM, scored by Stable Diffusion alone
_base_ = './ref_diff.py'
model = dict(discriminator=None, fusion=dict(hard=0.0, soft=0.0, gen=1.0))
