import numpy as np
import pytest
import torch

from mmdiffseg.evaluation.trust import pixel_measures, sum_pixels
from mmdiffseg.evaluation.trust.pixel_sums import group_pixels
from mmdiffseg.evaluation.trust.ranking import GROUPS


def measures(log_probs, labels, uncertainty=None):
    if uncertainty is None:
        uncertainty = 1 - log_probs.exp().amax(dim=0)
    return pixel_measures(
        sum_pixels(log_probs, log_probs.argmax(0), labels, dict(doubt=uncertainty))
    )


def test_totals_by_hand():
    probs = torch.tensor([[0.8, 0.4, 0.1], [0.2, 0.6, 0.9]])
    found = measures(probs.log(), torch.tensor([0, 0, 1]))
    assert found['accuracy'] == pytest.approx(2 / 3)
    assert found['mIoU'] == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert found['NLL'] == pytest.approx(-np.log([0.8, 0.4, 0.9]).mean(), rel=1e-6)
    assert found['Brier'] == pytest.approx(2 * (0.04 + 0.36 + 0.01) / 3, rel=1e-6)
    # confidences .8 (right), .6 (wrong), .9 (right), each in a bin of its own
    assert found['ECE'] == pytest.approx((0.2 + 0.6 + 0.1) / 3, rel=1e-6)
    assert found['AUROC/doubt'] == 1


def test_the_parts_of_the_brier_score_add_up(make_pixels):
    found = measures(*make_pixels())
    parts = [found[f'Brier_{part}'] for part in ('reliability', 'uncertainty', 'within_bins')]
    assert sum(parts) - found['Brier_resolution'] == pytest.approx(found['Brier'], abs=1e-12)
    assert abs(found['Brier_within_bins']) < 0.01 < found['Brier_resolution']
    assert found['Brier_reliability'] < found['Brier_uncertainty']


def test_images_add_up(make_pixels):
    log_probs, labels = make_pixels()
    doubt = 1 - log_probs.exp().amax(dim=0)
    parts = [
        sum_pixels(
            log_probs[:, cut], log_probs[:, cut].argmax(0), labels[cut], dict(doubt=doubt[cut])
        )
        for cut in (slice(1000), slice(1000, None))
    ]
    together = sum_pixels(log_probs, log_probs.argmax(0), labels, dict(doubt=doubt))
    for name, value in together.items():
        np.testing.assert_allclose(parts[0][name] + parts[1][name], value, rtol=1e-12)


def test_the_size_of_the_sums_does_not_depend_on_the_image(make_pixels):
    small, large = (
        {k: v.shape for k, v in sum_pixels(x, y, y, dict(e=torch.rand(len(y)))).items()}
        for x, y in (make_pixels(10), make_pixels(5000))
    )
    assert small == large


def test_groups_follow_the_octaves():
    values = torch.tensor([0.0, 2.0**-40, 2.0**-32, 0.5, 0.5 + 1 / 128, 1.0])
    assert group_pixels(values).tolist() == [0, 0, 1, GROUPS - 65, GROUPS - 64, GROUPS - 1]
    # without such groups, all of these would be equally sure
    assert len(group_pixels(torch.logspace(-9, -1, 60)).unique()) == 60


def test_grouping_hardly_changes_the_areas(make_pixels):
    log_probs, labels = make_pixels(20000)
    doubt = 1 - log_probs.exp().amax(dim=0)
    found = measures(log_probs, labels, doubt)
    wrong = (log_probs.argmax(dim=0) != labels).double()[doubt.argsort()]
    kept = torch.arange(1, len(wrong) + 1)
    assert found['AURC/doubt'] == pytest.approx((wrong.cumsum(0) / kept).mean().item(), abs=2e-4)


def test_many_classes_are_binned_in_parts(make_pixels, monkeypatch):
    log_probs, labels = make_pixels(500)
    whole = sum_pixels(log_probs, labels, labels, {})
    monkeypatch.setattr('mmdiffseg.evaluation.trust.pixel_sums.AT_ONCE', 1200)
    parts = sum_pixels(log_probs, labels, labels, {})
    np.testing.assert_allclose(parts['classes'], whole['classes'], rtol=1e-12)
    pixels, prob, hits = whole['classes'].sum(axis=2)
    assert pixels.tolist() == [500] * 4 and prob.sum() == pytest.approx(500, rel=1e-5)
    assert hits.tolist() == np.bincount(labels, minlength=4).tolist()
