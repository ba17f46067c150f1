import torch

from mmdiffseg.models.refine.merging import join, merge_labels


def test_the_mean_counts_where_parts_overlap():
    base = torch.zeros(1, 6, 8)
    base[:, :, :2] = 1
    parts = [((2, 1, 5, 4), torch.full((2, 3, 3), 0.2)), ((4, 2, 7, 5), torch.full((2, 3, 3), 0.8))]
    joined = join(base, parts)
    assert joined.box == (0, 0, 7, 6) and joined.samples.shape == (2, 6, 7)
    for y in range(6):
        for x in range(7):
            values = [0.2] * (2 <= x < 5 and 1 <= y < 4) + [0.8] * (4 <= x < 7 and 2 <= y < 5)
            expected = sum(values) / len(values) if values else float(x < 2)
            assert abs(joined.samples[0, y, x].item() - expected) < 1e-6


def test_one_part_that_holds_the_object_is_taken_as_it_is():
    base = torch.zeros(1, 6, 8)
    base[0, 2, 2] = 1
    values = torch.rand(3, 4, 4)
    joined = join(base, [((1, 1, 5, 5), values)])
    assert joined.box == (1, 1, 5, 5) and joined.samples is values


LABELS = torch.tensor([[1, 1, 2, 2, 0, 7]])
WHOLE = (0, 0, 6, 1)


def merged(first, second, **options):
    objects = [row and (WHOLE, torch.tensor([row])) for row in (first, second)]
    return merge_labels(LABELS, [1, 2], objects, **options)[0].tolist()


def test_the_likeliest_object_wins_and_others_are_background():
    first, second = [0.9, 0.4, 0.6, 0.1, 0.5, 0.0], [0.1, 0.3, 0.7, 0.9, 0.5, 0.2]
    assert merged(first, second) == [1, 0, 2, 2, 1, 7]
    assert merged(first, second, background=None) == [1, 1, 2, 2, 1, 7]


def test_a_tie_stays_with_the_owner():
    tie = [0.6] * 6
    assert merged(tie, tie)[:4] == [1, 1, 2, 2]


def test_an_object_that_is_not_refined_keeps_its_pixels():
    assert merged(None, [0.9] * 6) == [1, 1, 2, 2, 2, 2]
