"""Integer approximations of LayerNorm."""

from .fqvit_layernorm import FQViTLayerNorm
from .ibert_layernorm import IBERTLayerNorm
from .ivit_layernorm import IViTLayerNorm

__all__ = ['FQViTLayerNorm', 'IBERTLayerNorm', 'IViTLayerNorm']
