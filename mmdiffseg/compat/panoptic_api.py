"""A stand-in for panopticapi where it is not installed.

For: mmdet 3.x, which reads COCO's panoptic annotations and computes PQ with it. It has never been
released to a package index. This has what mmdet takes from it, and nothing else. Does nothing where
panopticapi is installed: the finder stands last and is not asked then.
"""

import sys
from collections import defaultdict
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np

VOID = 0  #: id of the pixels that belong to no segment
OFFSET = 256**3  #: above any id: `gt_id * OFFSET + pred_id` names a pair of segments


def rgb2id(color: np.ndarray) -> np.ndarray:
    """Segment ids (h, w) of a panoptic PNG (h, w, 3), whose channels are their digits to base 256.

    Red is the lowest digit. Takes a single colour of three numbers too.
    """
    red, green, blue = np.moveaxis(np.asarray(color).astype(np.int32), -1, 0)
    return red + 256 * green + 256**2 * blue


def id2rgb(ids: np.ndarray) -> np.ndarray:
    """The panoptic PNG (h, w, 3), uint8, of segment ids (h, w); see :func:`rgb2id`."""
    ids = np.asarray(ids)[..., None]
    return (ids // np.array([1, 256, 256**2]) % 256).astype(np.uint8)


@dataclass
class PQStatCat:
    """Counts of one category.

    Attributes:
        iou: Sum of the IoUs of the matched segments.
        tp: Number of matched segments.
        fp: Number of predicted segments without a match.
        fn: Number of true segments without a match.
    """

    iou: float = 0.0
    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __iadd__(self, other: 'PQStatCat') -> 'PQStatCat':
        """Add the counts of other images."""
        self.iou += other.iou
        self.tp += other.tp
        self.fp += other.fp
        self.fn += other.fn
        return self


class PQStat:
    """Counts of all categories, from which panoptic quality follows (Kirillov et al. 2019)."""

    def __init__(self) -> None:
        self.pq_per_cat = defaultdict(PQStatCat)

    def __getitem__(self, category: int) -> PQStatCat:
        """Counts of a category, by its id."""
        return self.pq_per_cat[category]

    def __iadd__(self, other: 'PQStat') -> 'PQStat':
        """Add the counts of other images."""
        for category, counts in other.pq_per_cat.items():
            self.pq_per_cat[category] += counts
        return self

    def pq_average(
        self, categories: dict[int, dict], isthing: bool | None
    ) -> tuple[dict[str, float], dict[int, dict[str, float]]]:
        """Panoptic quality of every category, and its mean over those that occur.

        PQ = sum of IoUs / (TP + FP / 2 + FN / 2) = SQ * RQ, with SQ = sum of IoUs / TP.

        Args:
            categories: By id; each says by ``isthing`` (0 or 1) what it is.
            isthing: Only things, only stuff, or with None all.

        Returns:
            The means ``pq``, ``sq``, ``rq`` in [0, 1] and the number ``n`` of categories that
            occur, in the truth or in a prediction; all 0 if none does. And for each category its
            ``pq``, ``sq`` and ``rq``, 0 where it does not occur.
        """
        per_category, occurring = {}, []
        for category, info in categories.items():
            if isthing is not None and bool(info['isthing']) != isthing:
                continue
            counts = self[category]
            errors = counts.fp / 2 + counts.fn / 2
            occurs = counts.tp + errors > 0
            rq = counts.tp / (counts.tp + errors) if occurs else 0.0
            sq = counts.iou / counts.tp if counts.tp else 0.0
            per_category[category] = dict(pq=sq * rq, sq=sq, rq=rq)
            if occurs:
                occurring.append(per_category[category])
        n = len(occurring)
        means = {name: sum(c[name] for c in occurring) / max(n, 1) for name in ('pq', 'sq', 'rq')}
        return {**means, 'n': n}, per_category


_MODULES = {
    'panopticapi': (),
    'panopticapi.utils': (rgb2id, id2rgb),
    'panopticapi.evaluation': (PQStat, PQStatCat),
}


class _StandInFinder:
    """Serves as meta path finder and loader of the stand-in."""

    def find_spec(self, fullname, path=None, target=None) -> ModuleSpec | None:
        if fullname not in _MODULES:
            return None
        return ModuleSpec(fullname, self, origin=__file__, is_package=fullname == 'panopticapi')

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__doc__ = __doc__
        for thing in _MODULES[module.__name__]:
            setattr(module, thing.__name__, thing)
        if module.__name__ == 'panopticapi.evaluation':
            module.OFFSET, module.VOID = OFFSET, VOID


def install_panopticapi() -> None:
    """Let `import panopticapi` succeed where it is not installed."""
    if not any(isinstance(finder, _StandInFinder) for finder in sys.meta_path):
        sys.meta_path.append(_StandInFinder())
