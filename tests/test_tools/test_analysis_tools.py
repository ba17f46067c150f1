import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from analyze_logs import read_curve
from confusion_matrix import confusion
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from reference_decoder import ReferenceDecoder
from sampling_controls import fresh_noise, frozen_time
from steps_vs_quality import Scores, evaluate

from mmdiffseg.diffusion import DDIMSampler, Draws
from mmdiffseg.models.ddp import DeformableMapDecoder


@pytest.fixture
def sampler():
    return DDIMSampler(schedule={'type': 'CosineLogSNR'})


def visits(sampler, steps=4):
    """Times and maps a chain shows to a predictor that always answers 0.5."""
    seen = []

    def predict(z_t, t):
        seen.append((t.item(), z_t.clone()))
        return z_t, None

    def encode(output):
        return torch.full_like(output, 0.5)

    draws = Draws(generator=torch.Generator().manual_seed(0))
    list(sampler.walk(predict, encode, shape=(2, 3, 4, 4), steps=steps, draws=draws))
    return seen


def test_frozen_time_changes_nothing_but_the_time_that_is_told(sampler):
    plain, control = visits(sampler), visits(frozen_time(sampler))
    assert {t for t, _ in control} == {plain[0][0]}
    assert len({t for t, _ in plain}) == 4
    for (_, expected), (_, z_t) in zip(plain, control, strict=True):
        assert torch.equal(z_t, expected)


def test_fresh_noise_keeps_times_and_strength_and_forgets_the_prediction(sampler):
    plain, control = visits(sampler), visits(fresh_noise(sampler))
    assert [t for t, _ in control] == [t for t, _ in plain]
    assert torch.equal(control[0][1], plain[0][1])
    for index, (_, arrive) in enumerate(sampler.time_pairs(4)[:-1], start=1):
        sigma = sampler.coefficients([arrive])[0].sigma.item()
        assert control[index][1].std().item() == pytest.approx(sigma, rel=0.3)
        assert not torch.allclose(control[index][1], plain[index][1], atol=1e-2 * sigma)


def test_controls_leave_the_sampler_itself_alone(sampler):
    before = visits(sampler)
    visits(frozen_time(sampler)), visits(fresh_noise(sampler))
    for (t, z_t), (t_after, z_after) in zip(before, visits(sampler), strict=True):
        assert t == t_after and torch.equal(z_t, z_after)


def test_scores_are_means_over_classes_of_areas_over_the_data():
    scores = Scores(num_classes=3, ignore_index=255)
    for predicted, target in (([0, 0, 1, 1], [0, 1, 1, 255]), ([0, 1, 1, 0], [0, 1, 0, 0])):
        sample = SegDataSample(
            pred_sem_seg=PixelData(data=torch.tensor(predicted).view(1, 2, 2)),
            gt_sem_seg=PixelData(data=torch.tensor(target).view(1, 2, 2)),
        )
        scores.add('own chain', {1: [sample]})
    # class 0: 3 of 5, class 1: 2 of 4, class 2 never occurs
    assert scores.mean_iou() == {'own chain': {1: pytest.approx(100 * (3 / 5 + 2 / 4) / 2)}}


class Oracle:
    """Answers with the truth from so many steps on, and with class 0 before."""

    data_preprocessor = staticmethod(lambda batch, training: batch)

    def __init__(self, right_from):
        self.right_from = right_from
        self.decode_head = SimpleNamespace(
            diffusion_sampler=DDIMSampler(schedule={'type': 'CosineLogSNR'}), ignore_index=255
        )

    def answer(self, samples, right):
        return [
            SegDataSample(
                gt_sem_seg=s.gt_sem_seg, pred_sem_seg=PixelData(data=s.gt_sem_seg.data * right)
            )
            for s in samples
        ]

    def predict_steps(self, inputs, samples, steps):
        # the controls come with samplers of their own, and are never right
        plain = not vars(self.decode_head.diffusion_sampler).keys() & {'walk', 'step'}
        return {k: self.answer(samples, plain and k >= self.right_from) for k in steps}

    def predict_trajectory(self, inputs, samples, steps):
        return [self.answer(samples, k >= self.right_from) for k in range(1, steps + 1)]

    def test_step(self, batch):
        return self.answer(batch['data_samples'], True)


@pytest.mark.parametrize('twin', [None, Oracle(1)])
def test_the_curves_of_a_model_its_controls_and_its_twin(twin):
    truth = PixelData(data=torch.tensor([[[0, 1], [0, 1]]]))
    batch = dict(inputs=torch.zeros(1), data_samples=[SegDataSample(gt_sem_seg=truth)])
    model = Oracle(right_from=3)
    sampler = model.decode_head.diffusion_sampler
    curves, latency = evaluate(model, [batch, batch], [1, 3], 2, twin)
    wrong, right = 25.0, 100.0  # class 0 everywhere: 2 of 4 and 0 of 2
    expected = {
        'own chain': {1: wrong, 3: right},
        'along chain': {1: wrong, 2: wrong, 3: right},
        'frozen time': {1: wrong, 3: wrong},
        'fresh noise': {1: wrong, 3: wrong},
    }
    if twin:
        expected['twin'] = {1: right, 3: right}
    assert curves == expected
    assert latency.keys() == {1, 3} and min(latency.values()) > 0
    assert model.decode_head.diffusion_sampler is sampler


def test_reference_decoder_computes_the_same():
    decoder = DeformableMapDecoder(
        feature_channels=12, map_channels=16, channels=16, num_layers=2, num_heads=4
    ).eval()
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    feature, z_t, log_snr = torch.randn(2, 12, 5, 7), torch.randn(2, 16, 5, 7), torch.randn(2)
    with torch.no_grad():
        expected = ReferenceDecoder(decoder)(feature, z_t, log_snr)
        torch.testing.assert_close(
            decoder(z_t, log_snr, decoder.prepare(feature)), expected, atol=1e-4, rtol=1e-4
        )


def test_later_runs_win_in_a_log(tmp_path):
    path = tmp_path / 'scalars.json'
    records = [{'step': 1, 'loss': 3}, {'step': 2, 'loss': 2}, {'step': 2, 'loss': 1, 'lr': 0.1}]
    path.write_text('\n'.join(map(json.dumps, records)))
    assert read_curve(path, 'loss') == ([1, 2], [3, 1])
    with pytest.raises(ValueError, match="no 'mIoU', it has loss, lr, step"):
        read_curve(path, 'mIoU')


def test_confusion_counts_more_classes_than_fit_eight_bits():
    target = np.array([[0, 29], [255, 17]], dtype=np.uint8)
    prediction = np.array([[0, 29], [3, 2]], dtype=np.uint8)
    matrix = confusion(prediction, target, num_classes=30, ignore_index=255)
    assert matrix.sum() == 3
    assert matrix[0, 0] == matrix[29, 29] == matrix[17, 2] == 1


def test_time_and_memory_are_measured():
    from mmdiffseg.engine.measure import environment, peak_memory, time_interleaved

    device = torch.device('cpu')
    order = []
    calls = {name: lambda name=name: order.append(name) for name in 'ab'}
    seconds = time_interleaved(calls, runs=2, warmup=1, device=device)
    assert order == list('ababab') and all(s >= 0 for s in seconds.values())
    mib = peak_memory(lambda: torch.ones(20 * 2**18), device)
    assert mib is None or math.isclose(mib, 20, abs_tol=3)
    assert environment(device)['torch'] == torch.__version__
