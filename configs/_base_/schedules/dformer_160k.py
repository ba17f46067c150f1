# Total batch 16, AMP with the pixel decoder in float32. Norms and the embeddings of queries, levels
# and positions have no decay, biases do. Of several matching keys the longest wins: norms of the
# backbone have their own, because `backbone` would give them a decay.
backbone_norm = dict(lr_mult=0.1, decay_mult=0.0)
no_decay = dict(decay_mult=0.0)
optim_wrapper = dict(
    type='AmpOptimWrapper',
    loss_scale='dynamic',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        custom_keys={
            'backbone': dict(lr_mult=0.1),
            'backbone.norm': backbone_norm,
            '.norm.weight': backbone_norm,
            '.norm.bias': backbone_norm,
            '.norm1.weight': backbone_norm,
            '.norm1.bias': backbone_norm,
            '.norm2.weight': backbone_norm,
            '.norm2.bias': backbone_norm,
            'relative_position_bias_table': backbone_norm,
            'query_embed': no_decay,
            'level_embed': no_decay,
        },
    ),
    clip_grad=dict(max_norm=0.01, norm_type=2),
)
# mmengine reaches the end value at `end - 1`, hence the 1
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, begin=0, end=160001)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=160000, val_interval=5000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    checkpoint=dict(
        type='mmdiffseg.WholeCheckpointHook', by_epoch=False, interval=5000, max_keep_ckpts=3
    ),
)
auto_scale_lr = dict(enable=False, base_batch_size=16)
