# What DFormer's cost is compared with: mmdet's Mask2Former of the same size
_base_ = './dformer_r50_coco-panoptic.py'
head = _base_.model.panoptic_head
for argument in (
    'label_encoder',
    'noise_schedule',
    'diffusion_sampler',
    'steps',
    'time_modulation',
):
    head.pop(argument)
head.type = 'mmdet.Mask2FormerHead'
head.pixel_decoder.update(type='mmdet.MSDeformAttnPixelDecoder', strides=head.pop('strides'))
head.loss_cls.class_weight = [1.0] * 133 + [0.1]
model = dict(panoptic_head=dict(_delete_=True, **head))
