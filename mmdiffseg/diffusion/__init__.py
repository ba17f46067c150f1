"""The mathematics of diffusion over label maps: plain torch, no network, no dataset."""

from mmdiffseg.diffusion.absorbing import AbsorbingDiffusion
from mmdiffseg.diffusion.bernoulli import BernoulliDiffusion
from mmdiffseg.diffusion.categorical import CategoricalDiffusion, UniformDiffusion
from mmdiffseg.diffusion.categorical_loss import (
    categorical_cross_entropy,
    categorical_kl,
    categorical_loss,
)
from mmdiffseg.diffusion.categorical_sampler import CategoricalSampler
from mmdiffseg.diffusion.color_encoders import KroneckerEncoder, PaletteEncoder
from mmdiffseg.diffusion.corruption import GaussianSchedule, Preconditioner, corrupt
from mmdiffseg.diffusion.depth_encoder import DepthEncoder
from mmdiffseg.diffusion.discrete import (
    CCDMCosineBetas,
    CCDMLinearBetas,
    CosineBetas,
    DiscreteSchedule,
    LinearBetas,
    space_timesteps,
)
from mmdiffseg.diffusion.draws import Draws, noise_name, sample_generator
from mmdiffseg.diffusion.flow import LinearInterpolant
from mmdiffseg.diffusion.flow_samplers import EulerSampler, HeunSampler
from mmdiffseg.diffusion.implicit import ImplicitUniformDiffusion
from mmdiffseg.diffusion.label_encoders import (
    AnalogBitsEncoder,
    BinaryMaskEncoder,
    ClassEmbeddingEncoder,
    LabelEncoder,
    OneHotEncoder,
)
from mmdiffseg.diffusion.mask_sets import MaskSetEncoder, fill_slots
from mmdiffseg.diffusion.multi_label import MultiLabelEncoder
from mmdiffseg.diffusion.multistep import DPMSolverMultistepSampler, UniPCSampler
from mmdiffseg.diffusion.pseudo_mask import PseudoMaskEncoder
from mmdiffseg.diffusion.samplers import (
    DDIMSampler,
    DDPMSampler,
    Sampler,
    Step,
    ddim_step,
    ddpm_step,
)
from mmdiffseg.diffusion.schedules import CosineGamma, CosineLogSNR, LinearLogSNR
from mmdiffseg.diffusion.start import Start
from mmdiffseg.diffusion.two_state import TwoStateDiffusion, TwoStateSampler, TwoStateStep
from mmdiffseg.diffusion.uncertainty import (
    ChangeCount,
    DepthChange,
    DepthSpread,
    PredictionSpread,
    Tracker,
)
from mmdiffseg.diffusion.variational import learned_log_variance, variational_bound

__all__ = [
    'AbsorbingDiffusion',
    'AnalogBitsEncoder',
    'BernoulliDiffusion',
    'BinaryMaskEncoder',
    'CCDMCosineBetas',
    'CCDMLinearBetas',
    'CategoricalDiffusion',
    'CategoricalSampler',
    'ChangeCount',
    'ClassEmbeddingEncoder',
    'CosineBetas',
    'CosineGamma',
    'CosineLogSNR',
    'DDIMSampler',
    'DDPMSampler',
    'DPMSolverMultistepSampler',
    'DepthChange',
    'DepthEncoder',
    'DepthSpread',
    'DiscreteSchedule',
    'Draws',
    'EulerSampler',
    'GaussianSchedule',
    'HeunSampler',
    'ImplicitUniformDiffusion',
    'KroneckerEncoder',
    'LabelEncoder',
    'LinearBetas',
    'LinearInterpolant',
    'LinearLogSNR',
    'MaskSetEncoder',
    'MultiLabelEncoder',
    'OneHotEncoder',
    'PaletteEncoder',
    'Preconditioner',
    'PredictionSpread',
    'PseudoMaskEncoder',
    'Sampler',
    'Start',
    'Step',
    'Tracker',
    'TwoStateDiffusion',
    'TwoStateSampler',
    'TwoStateStep',
    'UniPCSampler',
    'UniformDiffusion',
    'categorical_cross_entropy',
    'categorical_kl',
    'categorical_loss',
    'corrupt',
    'ddim_step',
    'ddpm_step',
    'fill_slots',
    'learned_log_variance',
    'noise_name',
    'sample_generator',
    'space_timesteps',
    'variational_bound',
]
