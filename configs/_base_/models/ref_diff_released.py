# Ref-Diff as its released code computes it, red and blue swapped and all
_base_ = './ref_diff.py'
model = dict(bgr_bug=True, first_sentence_only=True)
