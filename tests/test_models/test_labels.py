import pytest
import torch

from mmdiffseg.models.labels import check_labels


@pytest.mark.parametrize('ignore_index', [None, 255])
def test_all_classes_pass(ignore_index):
    check_labels(torch.tensor([[0, 3], [2, 1]]), 4, ignore_index=ignore_index)


def test_the_ignored_value_passes_only_where_there_is_one():
    check_labels(torch.tensor([0, 255]), 4, ignore_index=255)
    with pytest.raises(ValueError, match=r'lie in \[0, 4\), got \[255\]'):
        check_labels(torch.tensor([0, 255]), 4)


@pytest.mark.parametrize('wrong', [-1, 4, 254])
def test_other_labels_are_named(wrong):
    with pytest.raises(ValueError, match=rf'\[0, 4\) or be 255 \(ignored\), got \[{wrong}\]'):
        check_labels(torch.tensor([0, wrong, 255]), 4, ignore_index=255)
