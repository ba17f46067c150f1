# Ablation: FC-HarDNet-70 as the image encoder
_base_ = './segdiff_vaihingen.py'
model = dict(
    backbone=dict(_delete_=True, type='mmdiffseg.FCHarDNet', out_channels=128),
)
