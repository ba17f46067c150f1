# The honest twin of refine_features_mixed.py: the same network maps image and coarse mask to the
# mask in one step. A schedule that keeps (next to) nothing shows it the coarse mask at every time.
_base_ = './refine_features_mixed.py'
model = dict(
    decode_head=dict(
        noise_schedule=dict(kept=1e-6),
        own_share=0.0,
    ),
)
