"""A frozen model that shows a student where its chains end."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor

from mmdiffseg.diffusion.draws import Draws


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """Answers noise with the end of its chain; no module, so that no student saves or trains it.

    Without fresh noise in its steps a chain is a fixed map from noise to a sample. A student that
    learns the map draws as the teacher does.

    Args:
        model: A segmentor whose head draws whole masks by a sampler that adds no noise.
        steps: Sampling steps of its chains.

    Raises:
        ValueError: The head's chain is no fixed map, or the head cannot learn from one.
    """

    model: EncoderDecoder
    steps: int

    def __post_init__(self) -> None:
        head = self.model.decode_head
        sampler = getattr(head, 'diffusion_sampler', None)
        if not hasattr(head, 'distillation_loss') or sampler.stochastic:
            drawn = f' with {type(sampler).__name__}' if sampler else ''
            raise ValueError(
                'distillation needs a head whose noise alone decides the sample, such as '
                f'mmdiffseg.EncodedMapHead with EulerSampler, got {type(head).__name__}{drawn}'
            )
        self.model.eval().requires_grad_(False)
        head.set_generations(1, max_batch=None, seed=0)

    @torch.no_grad()
    def answer(self, images: Tensor, metas: Sequence[dict], noise: Tensor) -> Tensor:
        """The labels (B, H, W) that chains end in.

        Args:
            images: Images (B, 3, H, W).
            metas: Their meta information.
            noise: What the chains start from (B, C, H, W).
        """
        head, features = self.model.decode_head, self.model.extract_feat(images)
        draws = Draws(dict(start=noise))
        chains = head.chains(features, metas, draws, steps=self.steps)
        return head.generate(chains, len(metas))[0].argmax(dim=1)
