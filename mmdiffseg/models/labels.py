"""Check of the labels that a head trains on, or starts from."""

from torch import Tensor

from mmdiffseg.diffusion.start import class_probabilities


def check_labels(labels: Tensor, num_classes: int, *, ignore_index: int | None = None) -> None:
    """Refuse labels that are no class of a head.

    Args:
        labels: Labels of any shape.
        num_classes: Number K of classes.
        ignore_index: The only value outside [0, K) that may occur; None allows none.

    Raises:
        ValueError: A label lies outside [0, K) and is not ignored.
    """
    known = (labels >= 0) & (labels < num_classes)
    ignored = ''
    if ignore_index is not None:
        known |= labels == ignore_index
        ignored = f' or be {ignore_index} (ignored)'
    if not known.all():
        raise ValueError(
            f'labels must lie in [0, {num_classes}){ignored}, got '
            f'{labels[~known].unique().tolist()[:5]}: make the number of classes of the head agree '
            'with the dataset, or set reduce_zero_label=True if its classes count from 1'
        )


def given_probabilities(given: Tensor, num_classes: int, *, ignore_index: int) -> Tensor:
    """Class probabilities (B, K, H, W) of labels (B, H, W), or of themselves.

    Raises:
        ValueError: Labels outside [0, K) that are not ignored, or another number of classes.
    """
    if given.dim() == 3:
        check_labels(given, num_classes, ignore_index=ignore_index)
        return class_probabilities(given, num_classes, ignore_index)
    if given.shape[1] != num_classes:
        raise ValueError(
            f'a map of {given.shape[1]} classes meets a model of {num_classes}: give labels '
            '(B, H, W), or the probabilities of all classes (B, K, H, W)'
        )
    return given
