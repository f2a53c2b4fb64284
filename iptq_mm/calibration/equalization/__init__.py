"""Equalizers: like ranges for all channels, one way a file."""

from .attention import AttentionEqualizer
from .base import Equalizer
from .layer_norm import LayerNormEqualizer

__all__ = ['AttentionEqualizer', 'Equalizer', 'LayerNormEqualizer']
