"""Classifier-free guidance with two scales, for the query and for the prompt."""

from torch import Tensor


def guide(
    eps_null: Tensor, eps_query: Tensor, eps_full: Tensor, *, query: float, prompt: float
) -> Tensor:
    """Scale up what the query and the prompt add to the prediction (paper, section 3).

    Args:
        eps_null: Prediction (B, C, h, w) without query and prompt.
        eps_query: Prediction with the query alone.
        eps_full: Prediction with both.
        query: Scale of what the query adds.
        prompt: Scale of what the prompt adds.

    Returns:
        The guided prediction (B, C, h, w).
    """
    return eps_null + query * (eps_query - eps_null) + prompt * (eps_full - eps_query)
