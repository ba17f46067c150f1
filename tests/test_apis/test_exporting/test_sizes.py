"""Sizes that graphs are looked at with."""

import pytest

from mmdiffseg.apis.exporting.sizes import find_sizes, shape_rule
from mmdiffseg.runtime.segmenter import _shape


@pytest.mark.parametrize('divisor', [2, 8, 16, 32])
def test_second_size_divides_by_no_more_than_it_must(divisor):
    (first, second), gridded = find_sizes(None, divisor)
    assert gridded
    for one, other in zip(first, second, strict=True):
        assert one % divisor == 0 and other % divisor == 0 and one != other
        assert other % (2 * divisor)


@pytest.mark.parametrize('divisor', [None, 1, 12])
def test_without_a_grid_nothing_divides(divisor):
    (_, second), gridded = find_sizes(None, divisor)
    assert not gridded and all(n % 2 for n in second)


@pytest.mark.parametrize('divisor', [None, 8, 32])
def test_the_coarsest_map_holds_more_than_one_window(divisor):
    sizes, _ = find_sizes(None, divisor, above=7 * 32)
    assert all(n > 7 * 32 and n % (divisor or 1) == 0 for size in sizes for n in size)
    assert all(one != other for one, other in zip(*sizes, strict=True))


def test_a_fixed_size_is_the_only_one():
    assert find_sizes((40, 48), None)[0] == [(40, 48)] * 2


def test_shapes_follow_from_sizes():
    sizes = [(64, 96), (96, 128)]
    assert shape_rule([(5, 16, 24), (5, 24, 32)], sizes) == [5, ['H', 4], ['W', 4]]
    odd = [(64, 96), (97, 129)]
    for maps, rounding in ([(25, 33), []], [(24, 32), ['down']]):
        rule = shape_rule([(5, 16, 24), (5, *maps)], odd)
        assert rule == [5, ['H', 4, *rounding], ['W', 4, *rounding]]
        assert _shape(rule, (97, 129)) == (5, *maps) and _shape(rule, (64, 96)) == (5, 16, 24)
    with pytest.raises(ValueError, match='give a fixed size'):
        shape_rule([(5, 17), (5, 23)], sizes)
