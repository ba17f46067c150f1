# Ref-Diff as its released code computes it, faults included
_base_ = './ref_diff.py'
model = dict(bgr_bug=True, first_sentence_only=True)
