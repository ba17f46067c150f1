"""Folds of the few-shot benchmarks, by the rule of HSNet's code. Class ids count from 1."""

from typing import Literal

Benchmark = Literal['pascal-5i', 'coco-20i']
CLASSES = {'pascal-5i': 20, 'coco-20i': 80}
FOLDS = 4


def fold_of(benchmark: Benchmark, class_id: int) -> int:
    """The fold, 0 to 3, that holds a class out: five in a row of PASCAL, every fourth of COCO."""
    return (class_id - 1) // 5 if benchmark == 'pascal-5i' else (class_id - 1) % FOLDS


def fold_classes(benchmark: Benchmark, number: int, part: Literal['base', 'novel']) -> list[int]:
    """Classes of one side of a fold.

    Args:
        benchmark: ``'pascal-5i'`` or ``'coco-20i'``.
        number: The fold, 0 to 3.
        part: ``'novel'``, the classes held out, to test on; ``'base'``, the others, to train on.

    Returns:
        Class ids, from 1.

    Raises:
        ValueError: There is no such fold.
    """
    if benchmark not in CLASSES or number not in range(FOLDS) or part not in ('base', 'novel'):
        raise ValueError(
            f'no fold {benchmark!r}, {number!r}, {part!r}: choose one of {list(CLASSES)}, '
            f"0 to {FOLDS - 1}, and 'base' or 'novel'"
        )
    classes = range(1, CLASSES[benchmark] + 1)
    return [c for c in classes if (fold_of(benchmark, c) == number) == (part == 'novel')]
