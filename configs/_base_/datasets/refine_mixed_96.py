# The pictures of refine_mixed_128.py in crops of 96 pixels around one object, enlarged or shrunk,
# and half of the coarse masks bent
_base_ = './refine_mixed_128.py'
crop_size = (96, 96)
crop = [
    dict(type='mmdiffseg.CropObject', size=96, context=(1.2, 6.0), sides=(48, 320)),
    dict(type='mmdiffseg.DegradeMask', iou=(0.5, 1.0), untouched=0.15, bent=0.5),
    *_base_.crop[2:],
]
# reading a picture and its mask takes the first two transforms of each
datasets = [dict(part, pipeline=[*part['pipeline'][:2], *crop]) for part in _base_.datasets]
train_dataloader = dict(dataset=dict(dataset=dict(datasets=datasets)))
