"""Padding of timm's layers as constants, and of OpenMMLab's without branches."""

import pytest
import torch

timm = pytest.importorskip('timm')

from mmseg.models.utils.embed import AdaptivePadding, PatchEmbed  # noqa: E402

from mmdiffseg.apis.exporting.padding import (  # noqa: E402
    branchless_padding,
    constant_padding,
    watched_padding,
)


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    name, stages = 'tf_efficientnet_lite0', (0, 1, 2, 3)
    return timm.create_model(name, features_only=True, out_indices=stages).eval()


@torch.no_grad()
def test_constants_are_right_where_all_sizes_divide(network):
    image = torch.randn(1, 3, 96, 160)
    with watched_padding() as divides:
        expected = network(image)
    assert all(divides) and len(divides) > 4
    with constant_padding():
        found = network(image)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


@torch.no_grad()
def test_sizes_that_do_not_divide_are_seen(network):
    with watched_padding() as divides:
        network(torch.randn(1, 3, 48, 72))  # 72 is 9 at the third layer
    assert not all(divides)


@torch.no_grad()
@pytest.mark.parametrize('size', [(32, 48), (33, 46)])
def test_patches_stay_what_they_are_without_a_branch(size):
    image, patches = torch.randn(1, 3, *size), PatchEmbed(embed_dims=8, conv_type='Conv2d')
    expected = patches(image)
    with branchless_padding():
        found = patches(image)
    assert torch.equal(found[0], expected[0]) and found[1] == expected[1]


def test_the_graph_of_a_size_that_divides_takes_others():
    patches = PatchEmbed(embed_dims=8, conv_type='Conv2d')
    sizes = ({2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO},)
    with branchless_padding():
        graph = torch.export.export(patches, (torch.randn(1, 3, 32, 48),), dynamic_shapes=sizes)
    image = torch.randn(1, 3, 33, 46)
    torch.testing.assert_close(graph.module()(image)[0], patches(image)[0])


def test_other_padding_keeps_its_own_rule():
    image, layer = torch.randn(1, 3, 8, 8), AdaptivePadding(kernel_size=5, stride=4)
    expected = layer(image)
    with branchless_padding():
        assert torch.equal(layer(image), expected)
    assert expected.shape[-1] == 9
