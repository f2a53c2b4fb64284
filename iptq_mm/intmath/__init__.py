"""Integer tensor arithmetic, the only arithmetic of an integer model."""

from .dyadic import Dyadic, dyadic, requantize
from .isqrt import bit_length, isqrt
from .qparams import QParams, storage_dtype

__all__ = [
    'Dyadic',
    'QParams',
    'bit_length',
    'dyadic',
    'isqrt',
    'requantize',
    'storage_dtype',
]
