"""Losses of training: what the integers shall come near to."""

from .base import Step, TrainingLoss
from .features import FeatureLoss
from .labels import LabelLoss
from .logits import LogitLoss

__all__ = ['FeatureLoss', 'LabelLoss', 'LogitLoss', 'Step', 'TrainingLoss']
