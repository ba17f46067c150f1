import pytest
import torch

from mmdiffseg.diffusion import Draws, noise_name, sample_generator

NAMES = ['a', 'b', 'c']
# every way to draw, for rows of 4 x 5
WAYS = {
    'normal': lambda draws, rows: draws.normal('x', (rows, 4, 5)),
    'uniform': lambda draws, rows: draws.uniform('x', (rows, 4, 5), -2.0, 3.0),
    'gumbel': lambda draws, rows: draws.gumbel('x', (rows, 4, 5)),
    'coins': lambda draws, rows: draws.coins('x', (rows, 4, 5)),
    'integers': lambda draws, rows: draws.integers('x', 3, 9, (rows, 4, 5)),
    'categorical': lambda draws, rows: draws.categorical('x', torch.ones(rows, 3, 4, 5) / 3),
}


def one_generator(seed=0):
    return Draws(generator=torch.Generator().manual_seed(seed))


def test_noise_belongs_to_seed_and_name():
    def noise(seed, name):
        return Draws.named([name], seed=seed).normal('start', (1, 8))

    assert torch.equal(noise(0, 'a.png'), noise(0, 'a.png'))
    assert not torch.equal(noise(0, 'a.png'), noise(0, 'b.png'))
    assert not torch.equal(noise(0, 'a.png'), noise(1, 'a.png'))
    # the rule that seeded results of earlier versions follow
    generator = sample_generator(3, 'a.png')
    assert generator.initial_seed() == 5400537282036194681
    assert torch.equal(noise(3, 'a.png')[0], torch.randn(8, generator=generator))


def test_names_tell_samples_views_sizes_and_generations_apart():
    assert noise_name('cat.jpg', None, '128x64', 2) == 'cat.jpg/None/128x64/2'


@pytest.mark.parametrize('way', WAYS)
def test_rows_depend_on_neither_neighbours_nor_order(way):
    draw = WAYS[way]
    together = draw(Draws.named(NAMES, seed=7), 3)
    assert torch.equal(draw(Draws.named(['c'], seed=7), 1), together[2:])
    assert torch.equal(draw(Draws.named(['c', 'a'], seed=7), 2), together[[2, 0]])
    assert torch.equal(draw(Draws.named(NAMES, seed=7).select([1], of=3), 1), together[1:2])
    assert not torch.equal(together[0], together[1])


def test_a_generator_moves_on_from_draw_to_draw():
    draws, again = (Draws.named(NAMES, seed=0) for _ in range(2))
    first, second = draws.normal('step0', (3, 4)), draws.normal('step1', (3, 4))
    assert not torch.equal(first, second)
    assert torch.equal(again.normal('step0', (3, 4)), first)
    assert torch.equal(again.select([1], of=3).normal('step1', (1, 4)), second[1:2])


@pytest.mark.parametrize('way', WAYS)
def test_one_generator_serves_all_rows(way):
    draw = WAYS[way]
    assert torch.equal(draw(one_generator(), 3), draw(one_generator(), 3))
    assert not torch.equal(draw(one_generator(0), 3), draw(one_generator(1), 3))
    # a selection keeps to the stream
    draws, expected = one_generator(), one_generator()
    assert torch.equal(draw(draws.select([2], of=3), 1), draw(expected, 1))
    assert torch.equal(draw(draws, 1), draw(expected, 1))


@pytest.mark.parametrize('way', WAYS)
def test_the_global_generator_is_the_default(way):
    torch.manual_seed(0)
    first = WAYS[way](Draws(), 2)
    assert not torch.equal(first, WAYS[way](Draws(), 2))
    torch.manual_seed(0)
    assert torch.equal(first, WAYS[way](Draws(), 2))


@pytest.mark.parametrize('draws', [Draws(), Draws.named(NAMES, seed=0), one_generator()])
def test_draws_come_to_the_device_that_is_asked_for(draws):
    meta = torch.device('meta')
    assert draws.normal('x', (3, 2), device=meta).device == meta
    assert draws.uniform('x', (3, 2), device=meta).device == meta
    assert draws.coins('x', (3, 2), device=meta).device == meta
    assert draws.integers('x', 0, 2, (3, 2), device=meta).device == meta
    assert Draws({'x': torch.zeros(3, 2)}).normal('x', (3, 2), device=meta).device == meta


def test_names_draw_on_the_cpu():
    draws = Draws.named(NAMES, seed=0)
    assert {generator.device.type for generator in draws.generator} == {'cpu'}


def test_the_kinds_of_numbers():
    draws = Draws.named(NAMES, seed=0)
    normal = draws.normal('x', (3, 100, 100))
    assert normal.dtype == torch.float32
    assert normal.mean().item() == pytest.approx(0, abs=0.02)
    assert normal.std().item() == pytest.approx(1, abs=0.02)
    uniform = draws.uniform('x', (3, 100, 100), -2.0, 3.0)
    assert uniform.dtype == torch.float32
    assert -2 <= uniform.min() < -1.99 and 2.99 < uniform.max() < 3
    assert uniform.mean().item() == pytest.approx(0.5, abs=0.03)
    unit = draws.uniform('x', (3, 100, 100))
    assert 0 <= unit.min() < 0.01 and 0.99 < unit.max() < 1
    coins = draws.coins('x', (3, 100, 100))
    assert coins.dtype == torch.bool
    assert coins.float().mean(dim=(1, 2)).sub(0.5).abs().max() < 0.02
    integers = draws.integers('x', 3, 9, (3, 100, 100))
    assert integers.dtype == torch.int64
    shares = integers.flatten().bincount(minlength=10) / integers.numel()
    torch.testing.assert_close(shares[3:9], torch.full((6,), 1 / 6), rtol=0, atol=0.01)
    assert shares[:3].sum() == shares[9:].sum() == 0


@pytest.mark.parametrize('shape', [(2,), (3, 4)])
def test_times_are_drawn_for_each_row(shape):
    draws = Draws.named(NAMES[: shape[0]], seed=0)
    assert draws.uniform('t', shape, 0.0, 0.999).shape == shape
    assert draws.integers('t', 0, 1000, shape).shape == shape


def test_classes_are_as_frequent_as_their_probabilities():
    probs = torch.tensor([[0.0, 0.2, 0.5, 0.3, 0.0], [0.25, 0.0, 0.0, 0.0, 0.75]])
    maps = probs[:, :, None, None].expand(-1, -1, 200, 200)
    classes = Draws.named(['a', 'b'], seed=0).categorical('x', maps)
    assert classes.shape == (2, 200, 200) and classes.dtype == torch.int64
    shares = torch.stack([row.flatten().bincount(minlength=5) / row.numel() for row in classes])
    torch.testing.assert_close(shares, probs, rtol=0, atol=0.01)
    assert (shares[probs == 0] == 0).all()


def test_gumbel_noise_draws_classes():
    probs = torch.tensor([0.5, 0.3, 0.2]).view(1, 3, 1)
    noise = one_generator().gumbel('x', (1, 3, 20_000))
    share = torch.bincount((probs.log() + noise).argmax(dim=1)[0]) / 20_000
    torch.testing.assert_close(share, probs.flatten(), rtol=0, atol=0.015)


def test_classes_invert_the_sums_of_the_probabilities():
    probs = torch.tensor([[0.0, 0.25, 0.5, 0.25, 0.0]])[:, :, None].expand(-1, -1, 6)
    u = torch.tensor([[0.0, 0.2499, 0.25, 0.7499, 0.75, 1 - 2**-24]])
    assert Draws({'x': u}).categorical('x', probs).tolist() == [[1, 1, 2, 2, 3, 3]]
    # a total off 1, as rounding makes it, leaves no class out and adds none
    for total in (0.999, 1.001):
        classes = Draws({'x': u}).categorical('x', total * probs)
        assert classes.tolist() == [[1, 1, 2, 2, 3, 3]]


def test_permutations_hold_everything_once():
    draws = Draws.named(['a'], seed=0)
    orders = [draws.permutation('order', 9) for _ in range(20)]
    assert all(sorted(order.tolist()) == list(range(9)) for order in orders)
    assert len({tuple(order.tolist()) for order in orders}) == 20
    assert torch.equal(Draws.named(['a'], seed=0).permutation('order', 9), orders[0])
    for draws in (Draws(), one_generator()):
        assert sorted(draws.permutation('order', 9).tolist()) == list(range(9))
    firsts = torch.stack([Draws().permutation('order', 3)[0] for _ in range(600)])
    assert firsts.bincount(minlength=3).sub(200).abs().max() < 60


def test_a_recorded_permutation_may_have_been_cut_off():
    order = torch.tensor([[4, 0, 2]])
    assert torch.equal(Draws({'order': order}).permutation('order', 5), order[0])


@pytest.mark.parametrize('way', ['normal', 'uniform', 'coins', 'integers'])
def test_recorded_tensors_are_replayed(way):
    recorded = torch.randn(3, 4, 5)
    draws = Draws({'x': recorded, 'y': -recorded})
    assert torch.equal(WAYS[way](draws, 3), recorded)
    assert torch.equal(WAYS[way](draws, 3), recorded)
    assert torch.equal(WAYS[way](draws.select([2, 0], of=3), 2), recorded[[2, 0]])
    assert torch.equal(draws.select(range(1, 3), of=3).normal('y', (2, 4, 5)), -recorded[1:])


def test_recorded_rows_may_differ_in_size():
    sizes = [torch.zeros(2, 3), torch.ones(4, 5), torch.zeros(4, 5)]
    draws = Draws({'padding': sizes})
    assert torch.equal(draws.select([1], of=3).coins('padding', (1, 4, 5)), sizes[1][None])
    assert draws.select([1, 2], of=3).coins('padding', (2, 4, 5)).shape == (2, 4, 5)
    with pytest.raises(ValueError, match="the recorded draw 'padding' has 3 rows, but .* are 2"):
        draws.select([0], of=2)


def test_recorded_tensors_of_another_shape_are_refused():
    draws = Draws({'start': torch.zeros(2, 3, 4)})
    message = r"the recorded draw 'start' has the shape \(2, 3, 4\), but \(2, 3, 5\) is asked for"
    with pytest.raises(ValueError, match=message):
        draws.normal('start', (2, 3, 5))
    with pytest.raises(ValueError, match="'start' has 2 rows, but .* are 4"):
        draws.select([0, 1], of=4)


def test_missing_names_are_refused_unless_there_is_a_generator():
    given = {'start': torch.zeros(1, 3)}
    with pytest.raises(KeyError, match=r"'step0' is not among the recorded draws \['start'\]"):
        Draws(given).normal('step0', (1, 3))
    with pytest.raises(KeyError, match="'order' is not among the recorded draws"):
        Draws(given).permutation('order', 3)
    with pytest.raises(KeyError, match="'step0' is not among"):
        Draws(given).select([0], of=1).normal('step0', (1, 3))
    both = Draws(given, generator=[sample_generator(0, 'a')])
    assert torch.equal(both.normal('start', (1, 3)), given['start'])
    expected = Draws.named(['a'], seed=0).normal('step0', (1, 3))
    assert torch.equal(both.select([0], of=1).normal('step0', (1, 3)), expected)


@pytest.mark.parametrize('way', WAYS)
def test_the_number_of_names_is_checked(way):
    with pytest.raises(ValueError, match='3 names for 2 rows'):
        WAYS[way](Draws.named(NAMES, seed=0), 2)
