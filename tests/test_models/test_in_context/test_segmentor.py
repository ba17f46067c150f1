import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.dataset import pseudo_collate
from mmengine.optim import OptimWrapper
from mmengine.runner import CheckpointLoader, load_checkpoint
from mmengine.runner.checkpoint import save_checkpoint
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmdiffseg.diffusion.draws import Draws
from mmdiffseg.models.weights import load_exactly

pytest.importorskip('diffusers')
pytest.importorskip('peft')
N = dict(kind='MultiStep', steps=2, pseudo_mask=dict(mask_alpha=0.4))
V1 = dict(adapter='per_layer', lora=dict(r=2))
PROFILES = {
    'ldis-1': dict(),
    'ldis-n': N,
    'v1-f-pixel': dict(loss_space='pixel', **V1),
    'v1-n': dict(**N, **V1),
    'shared-lora': dict(lora=dict(r=2)),
}


def episode(number=0, size=(64, 64), **meta):
    g = torch.Generator().manual_seed(number)
    pictures = torch.randint(256, (3, 3, *size), generator=g, dtype=torch.uint8)
    mask = torch.zeros(size, dtype=torch.uint8)
    mask[8:30, 10 + number : 40] = 1
    sample = SegDataSample(metainfo=dict(sample_id=f'episode {number}', ori_shape=size, **meta))
    sample.gt_sem_seg = PixelData(data=torch.randint(2, (1, *size), generator=g))
    return dict(
        inputs=dict(query=pictures[0], prompts=[*pictures[1:]], prompt_masks=[mask, mask.T.T]),
        data_samples=sample,
    )


def train(model, steps=1):
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    wrapper = OptimWrapper(optimizer)
    model.train()
    batch = [episode(0), episode(1)]
    return [model.train_step(pseudo_collate(batch), wrapper) for _ in range(steps)]


@torch.no_grad()
def predict(model, *episodes):
    return model.eval().test_step(pseudo_collate(copy.deepcopy(list(episodes))))


@pytest.mark.parametrize('profile', PROFILES)
def test_what_trains_is_what_is_saved(build_ref_ldm_seg, profile):
    torch.manual_seed(0)
    model = build_ref_ldm_seg(**PROFILES[profile])
    before = {name: value.clone() for name, value in model.named_parameters()}
    (log,) = train(model)
    assert log['loss'].isfinite()
    assert not model.vae.training and not model.prompt_encoder.training and model.unet.training
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    if 'lora' in PROFILES[profile]:
        kinds = {name.split('.')[0] if '.lora_' not in name else 'lora' for name in changed}
        wide = 'kind' in PROFILES[profile]
        own = {'unet.encoder_hid_proj.weight', 'unet.conv_in.weight', 'unet.conv_in.bias'} & changed
        expected = {'shared-lora': 'unet.encoder_hid_proj.weight'}.get(profile)
        if expected:
            assert own == {expected} and kinds == {'lora', 'unet'}
        elif wide:
            assert kinds == {'lora', 'adapters', 'unet'}
            assert own == {'unet.conv_in.weight', 'unet.conv_in.bias'}
        else:
            assert kinds == {'lora', 'adapters'}
    else:
        assert changed == {f'unet.{name}' for name, _ in model.unet.named_parameters()}
    assert model.state_dict().keys() == changed | {'pseudo_mask.settings'}


@pytest.mark.parametrize('profile', ['ldis-1', 'v1-n'])
def test_checkpoint_round_trip(build_ref_ldm_seg, profile, tmp_path):
    model = build_ref_ldm_seg(**PROFILES[profile])
    train(model)
    expected = predict(model, episode(0))[0].seg_logits.data
    path = tmp_path / 'model.pth'
    save_checkpoint(dict(state_dict=model.state_dict(), meta={}), str(path))
    loaded = build_ref_ldm_seg(**PROFILES[profile])
    assert not torch.allclose(predict(loaded, episode(0))[0].seg_logits.data, expected, atol=1e-3)
    load_checkpoint(loaded, str(path), strict=True)
    torch.testing.assert_close(predict(loaded, episode(0))[0].seg_logits.data, expected)
    weights = CheckpointLoader.load_checkpoint(str(path))['state_dict']
    load_exactly(build_ref_ldm_seg(**PROFILES[profile]), weights, source='it')
    build_ref_ldm_seg(**PROFILES[profile]).load_state_dict(weights, strict=True)
    del weights['pseudo_mask.settings']
    with pytest.raises(RuntimeError, match=r'Missing key.* "pseudo_mask.settings"\.'):
        loaded.load_state_dict(weights)

    copied = copy.deepcopy(loaded)
    for parameter in loaded.parameters():
        parameter.data.zero_()
    torch.testing.assert_close(predict(copied, episode(0))[0].seg_logits.data, expected)


def test_another_mask_alpha_is_refused(build_ref_ldm_seg, tmp_path):
    save_checkpoint(dict(state_dict=build_ref_ldm_seg().state_dict()), str(tmp_path / 'it.pth'))
    other = build_ref_ldm_seg(pseudo_mask=dict(mask_alpha=0.4))
    with pytest.raises(ValueError, match='mask_alpha=0, the model has .* mask_alpha=0.4'):
        load_checkpoint(other, str(tmp_path / 'it.pth'))


@pytest.mark.parametrize('profile', ['ldis-1', 'ldis-n'])
def test_noise_belongs_to_the_sample(build_ref_ldm_seg, profile):
    model = build_ref_ldm_seg(**PROFILES[profile])
    first, second = predict(model, episode(0), episode(1))
    (alone,) = predict(model, episode(1))
    torch.testing.assert_close(alone.seg_logits.data, second.seg_logits.data, rtol=1e-3, atol=1e-4)
    renamed = episode(1)
    renamed['data_samples'].set_metainfo(dict(sample_id='another'))
    (other,) = predict(model, renamed)
    assert not torch.allclose(other.seg_logits.data, alone.seg_logits.data, atol=1e-4)
    assert not torch.allclose(first.seg_logits.data, second.seg_logits.data, atol=1e-4)


def test_masks_come_in_the_original_size(build_ref_ldm_seg):
    model = build_ref_ldm_seg(pseudo_mask=dict(mask_alpha=0.4))
    flipped = dict(flip=True, flip_direction='horizontal')
    small = episode(0, (48, 60), **flipped)
    small['data_samples'].set_metainfo(dict(ori_shape=(97, 121)))
    (sample,) = predict(model, small)
    assert sample.seg_logits.data.shape == (2, 97, 121)
    assert sample.pred_sem_seg.data.shape == (1, 97, 121)
    margin = sample.seg_logits.data[1] - sample.seg_logits.data[0]
    assert torch.equal(sample.pred_sem_seg.data[0], (margin > 0).long())

    data = model.data_preprocessor(pseudo_collate([small]))
    inputs = data['inputs']
    prompts = model.encode_prompts(inputs['prompts'], inputs['prompt_masks'])
    draws = Draws(dict(query=torch.zeros(1, 4, 16, 16)))
    with torch.no_grad():
        logits = model.encode_decode(inputs, prompts=prompts, draws=draws)
        (sample,) = model.predict(**data, draws=draws)
        model.latent_eval = 'mode'
        latent = model.mask_latent(inputs['query'], prompts, draws=Draws({}))
        picture = model.vae.decode(latent / 0.18215).sample - 0.4 * inputs['query']
    torch.testing.assert_close(logits, picture[:, :2])
    expected = logits[:, :, :48, :60].flip(3)
    expected = F.interpolate(expected, (97, 121), mode='bilinear', align_corners=False)
    torch.testing.assert_close(sample.seg_logits.data, expected[0])


@torch.no_grad()
def test_prompts_encoded_once_serve_many_queries(build_ref_ldm_seg):
    model = build_ref_ldm_seg().eval()
    episodes = [episode(0), episode(1)]
    episodes[1]['inputs'].update({k: episodes[0]['inputs'][k] for k in ('prompts', 'prompt_masks')})
    expected = predict(model, *episodes)
    data = model.data_preprocessor(pseudo_collate(episodes))
    inputs = data['inputs']
    encoded = model.encode_prompts(inputs['prompts'][:1], inputs['prompt_masks'][:1])
    samples = model.predict(dict(query=inputs['query']), data['data_samples'], prompts=encoded)
    for sample, other in zip(samples, expected, strict=True):
        torch.testing.assert_close(
            sample.seg_logits.data, other.seg_logits.data, rtol=1e-3, atol=1e-4
        )


@torch.no_grad()
def test_several_concepts(build_ref_ldm_seg):
    model = build_ref_ldm_seg().eval()
    data = model.data_preprocessor(pseudo_collate([episode(0), episode(1)]))
    inputs, samples = data['inputs'], data['data_samples']
    concepts = [
        model.encode_prompts(inputs['prompts'][i : i + 1], inputs['prompt_masks'][i : i + 1])
        for i in range(2)
    ]
    margins = []
    for prompts in concepts:
        logits = model.encode_decode(inputs, samples, prompts=prompts)
        margins.append(logits[:, 1] - logits[:, 0])
    together = model.predict_concepts(dict(query=inputs['query']), samples, concepts=concepts)
    odds = torch.stack([margin[1].exp() for margin in margins])
    expected = torch.cat([torch.ones(1, 64, 64), odds]) / (1 + odds.sum(dim=0))
    torch.testing.assert_close(together[1].seg_logits.data.softmax(dim=0), expected)
    assert torch.equal(together[1].pred_sem_seg.data[0], expected.argmax(dim=0))


def test_training_replays(build_ref_ldm_seg):
    model = build_ref_ldm_seg()
    data = model.data_preprocessor(pseudo_collate([episode(0), episode(1)]), training=True)
    noise = {name: torch.randn(2, 4, 16, 16) for name in ('mask', 'query')}

    def loss(draws=None):
        return model.loss(data['inputs'], data['data_samples'], draws=draws)['loss_latent'].item()

    assert loss(Draws(noise)) == loss(Draws(noise))
    seeded = [loss(Draws(generator=torch.Generator().manual_seed(seed))) for seed in (3, 3, 4)]
    assert seeded[0] == seeded[1] != seeded[2]
    torch.manual_seed(0)
    assert loss() != loss()


@pytest.mark.parametrize('profile', ['ldis-1', 'v1-n'])
def test_autocast(build_ref_ldm_seg, profile):
    model = build_ref_ldm_seg(**PROFILES[profile])
    with torch.autocast('cpu', torch.bfloat16):
        (log,) = train(model)
        (sample,) = predict(model, episode(0))
    assert log['loss'].dtype == torch.float32 and log['loss'].isfinite()
    assert sample.seg_logits.data.dtype == torch.float32


def test_weights_in_half_precision(build_ref_ldm_seg):
    (sample,) = predict(build_ref_ldm_seg().to(torch.bfloat16), episode(0))
    assert sample.seg_logits.data.dtype == torch.float32 and sample.seg_logits.data.isfinite().all()


def test_initialising_again_changes_nothing(build_ref_ldm_seg):
    model = build_ref_ldm_seg()
    before = copy.deepcopy(model.prompt_encoder.state_dict())
    model.init_weights()
    for name, value in model.prompt_encoder.state_dict().items():
        assert torch.equal(value, before[name])


def test_what_cannot_be_built_is_refused(build_ref_ldm_seg, diffusion_folder):
    with pytest.raises(ValueError, match="'shared' or 'per_layer', got 'none'"):
        build_ref_ldm_seg(adapter='none')
    with pytest.raises(FileNotFoundError, match='no Stable Diffusion folder'):
        build_ref_ldm_seg(stable_diffusion='./missing')
    for kind in ('OneStep', 'MultiStep'):
        with pytest.raises(ValueError, match=f"now type='mmdiffseg.RefLDMSeg{kind}', with"):
            build_ref_ldm_seg(kind='', meta_arch=dict(type=f'mmdiffseg.{kind}'))
    model = build_ref_ldm_seg()
    with pytest.raises(ValueError, match='62 x 64 pixels .* must be multiples of 4'):
        model.predict(
            dict(
                query=torch.zeros(1, 3, 62, 64),
                prompts=torch.zeros(1, 1, 3, 64, 64),
                prompt_masks=torch.ones(1, 1, 64, 64),
            )
        )
