# Nothing is trained: tools/test.py CONFIG, without a checkpoint
test_cfg = dict(type='TestLoop')
