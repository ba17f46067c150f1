import pytest
import torch

from mmdiffseg.diffusion import corrupt, prediction_target, to_x0


@pytest.mark.parametrize('prediction_type', ['x0', 'eps', 'v'])
def test_the_target_of_each_type_leads_back_to_x0(prediction_type):
    x0, noise = torch.randn(2, 3, 4, 5, 6, dtype=torch.float64)
    alpha = torch.tensor([0.9, 0.2, 0.5], dtype=torch.float64)
    sigma = (1 - alpha**2).sqrt()
    z_t = corrupt(x0, noise, alpha, sigma)
    torch.testing.assert_close(z_t[1], 0.2 * x0[1] + sigma[1] * noise[1])
    target = prediction_target(x0, noise, alpha, sigma, prediction_type)
    torch.testing.assert_close(to_x0(target, z_t, alpha, sigma, prediction_type), x0)


def test_unknown_types_are_refused():
    x = torch.zeros(1, 1)
    with pytest.raises(ValueError, match="got 'score'"):
        to_x0(x, x, torch.ones(1), torch.ones(1), 'score')
