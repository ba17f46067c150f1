"""The record of a report: every measure with its interval, and differences to a baseline."""

import math
from collections.abc import Mapping

import numpy as np

from mmdiffseg.evaluation.trust.account import Account
from mmdiffseg.evaluation.trust.bootstrap import interval, resample
from mmdiffseg.evaluation.trust.calibration import coarsen
from mmdiffseg.evaluation.trust.pixel_sums import RANK
from mmdiffseg.evaluation.trust.ranking import risk_coverage

#: what a model offers by itself, the first that it has, so that different models can be compared
OWN_MAP = ('model', 'entropy')
OWN_NUMBER = ('samples', 'model/mean', 'entropy/mean')

#: measures that a table on the screen shows, with what they say
HEADLINES = {
    'Dice': 'mean Dice of the images',
    'mIoU': 'mean IoU over the classes, pixels pooled',
    'ECE': 'gap between confidence and accuracy',
    'ECE_adaptive': 'the same in bins of equally many pixels',
    'ECE_classes': 'the same for each class against all others',
    'NLL': 'surprise of the truth, in nats',
    'Brier': 'squared distance of probabilities and truth',
    'AURC/own': 'area under risk over coverage, pixels',
    'AUSE/own': 'what its ranking of the errors loses to the best one',
    'AUROC/own': 'chance that a wrong pixel is less sure than a right one',
    'image_AURC/own': 'area under risk (1 - Dice) over coverage, images',
    'image_AUROC/own': 'chance that one of the worst quarter is less sure than another image',
    'area_CRPS': 'error of the predicted area, as a distribution',
    'area_correlation': 'rank correlation of expected and true area error',
    'promise/risk': 'risk of what the guarantee admits',
}
HIGHER_IS_BETTER = ('Dice', 'mIoU', 'accuracy', 'AUROC', 'image_AUROC', 'area_correlation')
NEITHER = ('Brier_uncertainty', 'Brier_within_bins', 'promise')
POINTS = 200

Value = dict[str, float | None]


def direction(measure: str) -> int:
    """1 if a measure is better when higher, -1 when lower, 0 if that is no question."""
    family = measure.split('/')[0]
    if family in NEITHER:
        return 0
    return 1 if family in (*HIGHER_IS_BETTER, 'Brier_resolution') else -1


def add_own(measures: dict[str, object]) -> dict[str, object]:
    """Add what the model offers by itself, its ``own`` uncertainty, to its measures."""
    for family, names in (
        *((family, OWN_MAP) for family in ('AURC', 'AUSE', 'AUROC')),
        *((family, OWN_NUMBER) for family in ('image_AURC', 'image_AUROC')),
    ):
        name = next(name for name in names if f'{family}/{name}' in measures)
        measures[f'{family}/own'] = measures[f'{family}/{name}']
    return measures


def make_record(
    accounts: Mapping[str, Account], *, baseline: str | None = None, resamples: int, seed: int = 0
) -> dict:
    """Put all measures together.

    Args:
        accounts: Of the models by name, over the same images.
        baseline: Name of the model that the others are compared with.
        resamples: Number of resamples for the intervals.
        seed: Of the resamples.

    Returns:
        What fits into JSON: ``images``, ``models`` with ``measures`` and curves, ``differences`` to
        the baseline. A value comes with ``low`` and ``high``, between which 95 % of the resamples
        lie; None is not defined.
    """
    drawn = resample(accounts, resamples=resamples, seed=seed)
    drawn = {name: add_own(values) for name, values in drawn.items()}
    values = {name: add_own(account.measures()) for name, account in accounts.items()}
    first = next(iter(accounts.values()))
    record = dict(
        images=len(first.names),
        images_without_labels=first.left_out,
        classes=first.classes,
        baseline=baseline,
        models={},
        differences={},
    )
    for name, account in accounts.items():
        record['models'][name] = dict(
            temperature=account.temperature,
            guarantee=account.guarantee,
            measures={key: _value(value, drawn[name][key]) for key, value in values[name].items()},
            **_curves(account),
        )
        if baseline not in (None, name):
            shared = [key for key in values[name] if key in values[baseline]]
            record['differences'][name] = {
                key: _value(
                    values[name][key] - values[baseline][key],
                    drawn[name][key] - drawn[baseline][key],
                )
                for key in shared
            }
    return record


def _value(value: float, drawn: np.ndarray) -> Value:
    low, high = interval(drawn) or (None, None)
    return dict(value=value if math.isfinite(value) else None, low=low, high=high)


def _curves(account: Account) -> dict:
    sums = account.pixel_sums()
    two = len(account.classes) == 2
    reliability = sums['classes'][:, 1] if two else coarsen(sums['confidence'])
    curves = {}
    for key in filter(lambda key: key.startswith(RANK), sums):
        coverage, risk = risk_coverage(*sums[key])
        places = np.linspace(coverage[0], 1, POINTS)
        curves[key.removeprefix(RANK)] = dict(
            coverage=places.tolist(), risk=np.interp(places, coverage, risk).tolist()
        )
    return dict(
        reliability=dict(
            event=account.classes[1] if two else 'being right', sums=reliability.tolist()
        ),
        risk_coverage=curves,
    )


def verdict(difference: Value, measure: str) -> str:
    """What a difference to the baseline says: better, worse, or that nothing can be told."""
    low, high, sign = difference['low'], difference['high'], direction(measure)
    if low is None or low <= 0 <= high:
        return 'no difference can be told'
    if not sign:
        return 'different'
    return 'better' if sign * low > 0 else 'worse'


def headlines(record: dict) -> list[str]:
    """The headline measures that some model has."""
    return [
        name
        for name in HEADLINES
        if any(name in model['measures'] for model in record['models'].values())
    ]
