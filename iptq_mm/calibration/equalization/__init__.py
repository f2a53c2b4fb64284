"""Equalizers: like ranges for all channels, one way a file."""

from .attention import AttentionEqualizer
from .base import Equalized, Equalizer
from .layer_norm import LayerNormEqualizer
from .residual import PowerOfTwoFactor

__all__ = [
    'AttentionEqualizer',
    'Equalized',
    'Equalizer',
    'LayerNormEqualizer',
    'PowerOfTwoFactor',
]
