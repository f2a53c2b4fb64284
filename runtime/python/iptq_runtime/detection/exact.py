"""Functions of doubles that are the same everywhere."""

from __future__ import annotations

import numpy as np

# ln 2 in two parts: the first has zeros in its last bits, so that k times it is exact.
_HIGH, _LOW = 0.6931471803691238, 1.9082149292705877e-10
_PER_LN2 = 1.4426950408889634
_LARGEST = 700.0
#: 1 / n!, the highest power first.
_TERMS = [1.0]
for _n in range(1, 14):
    _TERMS.insert(0, _TERMS[0] / _n)


def exponential(x: np.ndarray) -> np.ndarray:
    """Returns exp(x), within two units in the last place, of x from -700 to 700."""
    x = np.clip(np.asarray(x, np.float64), -_LARGEST, _LARGEST)
    power = np.floor(x * _PER_LN2 + 0.5)
    rest = (x - power * _HIGH) - power * _LOW
    value = np.full_like(x, _TERMS[0])
    for term in _TERMS[1:]:
        value = value * rest + term
    return np.ldexp(value, power.astype(np.int64))


def added(parts: list[np.ndarray]) -> np.ndarray:
    """Returns the sum of arrays, from the first to the last."""
    made = parts[0]
    for part in parts[1:]:
        made = made + part
    return made


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns the probabilities of each row."""
    powers = exponential(logits - logits.max(axis=1, keepdims=True))
    total = added([powers[:, i] for i in range(powers.shape[1])])
    return powers / total[:, None]


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Returns 1 / (1 + exp(-x))."""
    return 1.0 / (1.0 + exponential(-x))
