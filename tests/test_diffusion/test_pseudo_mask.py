import copy
from pathlib import Path

import pytest
import torch

from mmdiffseg.diffusion import PseudoMaskEncoder

RECORDED = torch.load(Path(__file__).parents[1] / 'data/ref_ldm_seg_masks.pt')
LABELS = torch.tensor([[[0, 1, 255]]])  # (1, 1, 3)
IMAGE = torch.tensor([0.2, -0.6, 0.4]).view(1, 3, 1, 1).expand(1, 3, 1, 3)


@pytest.mark.parametrize('mask_alpha', [0.0, 0.4])
def test_equals_the_recorded_masks(mask_alpha):
    encoder = PseudoMaskEncoder(mask_alpha=mask_alpha)
    recorded, image = RECORDED[str(mask_alpha)], RECORDED['image']
    labels = RECORDED['label'].long()
    assert torch.equal(encoder.encode(labels, image), recorded['mixed'])
    assert torch.equal(encoder.decode_logits(recorded['noisy_pred'], image), recorded['logits'])
    decoded = encoder.decode_logits(recorded['noisy_pred'], image).argmax(1)
    assert torch.equal(decoded, recorded['decoded'].long())
    assert torch.equal(
        encoder.decode_logits(recorded['mixed'], image).argmax(1), (labels == 1).long()
    )


def test_the_two_parametrisations_build_the_same_tensor():
    recorded = RECORDED['augmented']
    paper = PseudoMaskEncoder(a=-0.6, b=0.6, alpha=2.5)
    labels, image = recorded['label'].long(), recorded['image']
    assert torch.equal(
        paper.encode(labels, image), PseudoMaskEncoder(mask_alpha=0.4).encode(labels, image)
    )
    torch.testing.assert_close(paper.encode(labels, image), recorded['pm_a'], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ('mask_alpha', 'background', 'foreground'),
    [
        (0.0, (1, -1, 0), (-1, 1, 0)),
        (0.4, (0.68, -0.84, 0.16), (-0.52, 0.36, 0.16)),
    ],
)
def test_worked_values_with_ignored_pixels_as_background(mask_alpha, background, foreground):
    encoder = PseudoMaskEncoder(mask_alpha=mask_alpha)
    painted = encoder.encode(LABELS, IMAGE)[0, :, 0].T  # (3 pixels, 3 channels)
    expected = torch.tensor([background, foreground, background], dtype=torch.float32)
    torch.testing.assert_close(painted, expected)
    logits = encoder.decode_logits(encoder.encode(LABELS, IMAGE), IMAGE)
    margin = (logits[:, 1] - logits[:, 0]).abs()
    torch.testing.assert_close(margin, torch.full((1, 1, 3), 2 * (1 - mask_alpha)))


def test_bad_settings_and_labels_are_refused():
    for settings, message in [
        (dict(mask_alpha=1.0), r'must lie in \[0, 1\), got 1.0'),
        (dict(low=1, high=-1), 'below the upper one, got 1 and -1'),
        (dict(a=-0.6, b=0.6, alpha=1.0), 'must exceed 1, got 1.0'),
        (dict(a=-0.6, b=0.6), 'or by all of a, b and alpha'),
        (dict(a=-0.6, b=0.6, alpha=2.5, mask_alpha=0.4), 'or by all of a, b and alpha'),
    ]:
        with pytest.raises(ValueError, match=message):
            PseudoMaskEncoder(**settings)
    with pytest.raises(ValueError, match=r'must be 0, 1 or 255 \(ignored\), got \[7\]'):
        PseudoMaskEncoder().encode(torch.tensor([[[0, 7]]]))


def test_a_checkpoint_of_another_mask_is_refused():
    trained = PseudoMaskEncoder(mask_alpha=0.4)
    with pytest.raises(ValueError, match='of low=-1, high=1, mask_alpha=0.4, the model has .*=0:'):
        PseudoMaskEncoder().load_state_dict(trained.state_dict())
    with pytest.raises(ValueError, match='mask_alpha=0.3'):
        PseudoMaskEncoder(mask_alpha=0.3).load_state_dict(trained.state_dict())
    PseudoMaskEncoder(a=-0.6, b=0.6, alpha=2.5).load_state_dict(trained.half().state_dict())
    copied = copy.deepcopy(PseudoMaskEncoder(mask_alpha=0.4))
    copied.load_state_dict(trained.state_dict())
