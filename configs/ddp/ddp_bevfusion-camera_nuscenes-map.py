# 8 GPUs x 4 features of BEVFusion's camera branch, 256 x 128 x 128
_base_ = [
    '../_base_/models/ddp_map_features.py',
    '../_base_/datasets/nuscenes_map.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/ddp_map_20e.py',
]
model = dict(decode_head=dict(in_channels=256, generations=5))
train_dataloader = dict(dataset=dict(data_prefix=dict(img_path='features/camera/train')))
val_dataloader = dict(dataset=dict(data_prefix=dict(img_path='features/camera/val')))
test_dataloader = val_dataloader
log_processor = dict(by_epoch=True)
