# A dozen sentences about COCO, to run on real pictures
_base_ = './refer.py'
test_dataloader = dict(
    dataset=dict(
        data_root='data',
        ann_file='coco_mini/annotations/instances_val2017.json',
        split_file='referring/refs.json',
        data_prefix=dict(img_path='coco_mini/val2017'),
    )
)
