# Nothing is trained: tools/test.py CONFIG, without a checkpoint
test_cfg = dict(type='TestLoop')
model_wrapper_cfg = dict(type='mmdiffseg.Unwrapped')
