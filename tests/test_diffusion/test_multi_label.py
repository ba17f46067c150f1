import pytest
import torch

from mmdiffseg.diffusion import MultiLabelEncoder


def test_the_mean_row_of_all_classes_is_squashed():
    torch.manual_seed(0)
    encoder = MultiLabelEncoder(num_classes=6, channels=16, scale=0.3)
    masks = torch.randint(2, (2, 6, 5, 4))
    table = encoder.embedding_table.weight
    assert table.shape == (7, 16)
    rows = [table[masks[:, k] * (k + 1)] for k in range(6)]  # (2, 5, 4, 16) each
    expected = (2 * torch.stack(rows).mean(0).sigmoid() - 1) * 0.3
    x0 = encoder.encode(masks)
    torch.testing.assert_close(x0, expected.permute(0, 3, 1, 2))
    assert torch.equal(encoder.encode(masks.bool()), x0)


def test_absent_everywhere_is_row_zero():
    encoder = MultiLabelEncoder(num_classes=3, channels=8, scale=1)
    x0 = encoder.encode(torch.zeros(1, 3, 1, 1))
    row = encoder.embedding_table.weight[0]
    torch.testing.assert_close(x0[0, :, 0, 0], 2 * row.sigmoid() - 1)


def test_logits_are_encoded_by_what_is_more_likely_than_not():
    encoder = MultiLabelEncoder(num_classes=2, channels=8)
    logits = torch.tensor([[[[1.0, -1.0, 0.0]], [[2.0, 3.0, -4.0]]]])
    expected = encoder.encode(torch.tensor([[[[1, 0, 0]], [[1, 1, 0]]]]))
    assert torch.equal(encoder.encode_output(logits), expected)


def test_every_row_learns_where_it_is_used():
    encoder = MultiLabelEncoder(num_classes=3, channels=8)
    masks = torch.tensor([1, 0, 1]).view(1, 3, 1, 1)
    encoder.encode(masks).sum().backward()
    touched = encoder.embedding_table.weight.grad.abs().sum(1) > 1e-9
    assert touched.tolist() == [True, True, False, True]


def test_half_precision_leaves_the_codes_alone():
    encoder = MultiLabelEncoder(num_classes=3)
    masks = torch.randint(2, (1, 3, 4, 4))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        x0 = encoder.encode(masks)
    assert x0.dtype == torch.float32
    assert torch.equal(x0, encoder.encode(masks))


def test_scale_is_checked():
    with pytest.raises(ValueError, match='scale must be positive, got -1'):
        MultiLabelEncoder(num_classes=3, scale=-1)
