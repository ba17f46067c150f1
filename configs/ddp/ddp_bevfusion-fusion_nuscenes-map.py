# 8 GPUs x 4 features of BEVFusion's joined camera and LiDAR branches, 512 x 128 x 128
_base_ = './ddp_bevfusion-camera_nuscenes-map.py'
model = dict(decode_head=dict(in_channels=512, generations=4))
train_dataloader = dict(dataset=dict(data_prefix=dict(img_path='features/fusion/train')))
val_dataloader = dict(dataset=dict(data_prefix=dict(img_path='features/fusion/val')))
test_dataloader = val_dataloader
