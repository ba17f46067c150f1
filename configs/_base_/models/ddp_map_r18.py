# DDP for maps, made small enough for a CPU core
_base_ = ['./ddp_r18.py', './ddp_map_head.py']
map_head = _base_.map_head
map_head.update(in_channels=32, channels=32)
map_head.denoiser.update(num_layers=2, num_heads=2)
model = dict(
    type='mmdiffseg.MapSegmentor',
    decode_head=dict(_delete_=True, **map_head),
)
