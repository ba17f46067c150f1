# Ref-Diff/DS: proposals by SAM, scored by CLIP alone
_base_ = './ref_diff.py'
model = dict(generator=None, fusion=dict(hard=0.7, soft=0.3, gen=0.0))
