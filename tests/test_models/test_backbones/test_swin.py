import pytest
import torch
from timm.models.swin_transformer import SwinTransformer as TimmSwin

from mmdiffseg.models.backbones import SwinTransformer
from mmdiffseg.models.backbones.swin import resize_position_bias, swin_from_timm

SMALL = dict(depths=(2, 2, 2, 2), num_heads=(2, 2, 4, 4))


def timm_swin(window_size):
    # 64 windows to a side at stride 4: timm would otherwise shrink the windows of the last stages
    size = 64 * window_size
    torch.manual_seed(0)
    network = TimmSwin(
        img_size=size,
        window_size=window_size,
        embed_dim=16,
        num_classes=5,
        drop_path_rate=0,
        **SMALL,
    ).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network, size


@pytest.fixture
def pretrained(tmp_path):
    network, size = timm_swin(window_size=7)
    path = tmp_path / 'model.pth'
    torch.save(network.state_dict(), path)
    return network, size, str(path)


@torch.no_grad()
@pytest.mark.parametrize('window_size', [7, 12])
def test_features_equal_timm(window_size, tmp_path):
    reference, size = timm_swin(window_size)
    torch.save(reference.state_dict(), tmp_path / 'model.pth')
    ours = SwinTransformer(
        embed_dims=16, window_size=window_size, pretrained=str(tmp_path / 'model.pth'), **SMALL
    )
    ours.init_weights()
    ours.eval()
    image = torch.randn(1, 3, size, size)
    expected = reference.forward_intermediates(image, intermediates_only=True)
    for i, (feature, raw) in enumerate(zip(ours(image), expected, strict=True)):
        # (B, C, h, w) -> (B, h, w, C): the fresh output norm acts on channels
        raw = getattr(ours, f'norm{i}')(raw.movedim(1, -1)).movedim(-1, 1)
        torch.testing.assert_close(feature, raw, atol=1e-5, rtol=1e-5)


def test_original_release_counts_mergings_from_the_stage_before(pretrained):
    network, _, _ = pretrained
    weights = network.state_dict()
    original = {
        k.replace(f'layers.{i}.downsample', f'layers.{i - 1}.downsample'): v
        for k, v in weights.items()
        for i in [int(k.split('.')[1]) if k.startswith('layers.') else 0]
    }
    assert original.keys() != weights.keys()
    ours, theirs = swin_from_timm(weights), swin_from_timm(original)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_smaller_window_is_resized_into_a_larger_one(pretrained):
    network, _, path = pretrained
    ours = SwinTransformer(embed_dims=16, window_size=12, pretrained=path, **SMALL)
    ours.init_weights()
    table = network.layers[0].blocks[0].attn.relative_position_bias_table
    fitted = ours.stages[0].blocks[0].attn.w_msa.relative_position_bias_table
    assert table.shape == (169, 2) and fitted.shape == (529, 2)
    torch.testing.assert_close(fitted, resize_position_bias(table, 12))
    # the centre, offset (0, 0), is a fixed point of the resize
    torch.testing.assert_close(fitted[264], table[84], atol=0.2, rtol=0.2)
    assert torch.equal(resize_position_bias(table, 7), table)


def test_none_is_random(pretrained):
    ours = SwinTransformer(embed_dims=16, pretrained=None, **SMALL)
    ours.init_weights()
    assert 0.01 < ours.stages[0].blocks[0].attn.w_msa.qkv.weight.std() < 0.03


def test_other_depth_is_refused(pretrained):
    deeper = SwinTransformer(
        embed_dims=16, depths=(2, 2, 4, 2), num_heads=SMALL['num_heads'], pretrained=pretrained[2]
    )
    with pytest.raises(
        ValueError, match='does not fit SwinTransformer: 26 missing .*stages.2.blocks.2'
    ):
        deeper.init_weights()
