"""Classifier-free guidance with two scales, by the query and by the prompt."""

from torch import Tensor


def guide(
    eps_null: Tensor, eps_query: Tensor, eps_full: Tensor, *, query: float, prompt: float
) -> Tensor:
    """Move the prediction along what the query and then the prompt add to it (paper, section 3).

    Args:
        eps_null: Prediction (B, C, h, w) without query and prompt.
        eps_query: With the query alone.
        eps_full: With both.
        query: Scale of the query's direction.
        prompt: Scale of the prompt's direction.
    """
    return eps_null + query * (eps_query - eps_null) + prompt * (eps_full - eps_query)
