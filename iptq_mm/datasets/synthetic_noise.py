"""Coloured noise with the spectrum and the colours of photographs."""

from __future__ import annotations

import numpy as np

Array = np.ndarray
Rng = np.random.Generator

# Principal components of the colours of natural images are close to these axes:
# light, blue against yellow, green against magenta.
_AXES = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
# Variances of ImageNet's pixels along them (Krizhevsky et al., 2012, PCA of RGB).
_VARIANCES = np.array([0.2175, 0.0188, 0.0045])


def spectral_noise(
    rng: Rng, size: tuple[int, int], alpha: float, channels: int = 1
) -> Array:
    """Sample Gaussian noise whose amplitude spectrum falls as ``1 / f**alpha``.

    Photographs have ``alpha`` near 1 (Field, 1987); 0 is white noise.

    Args:
        rng: The random stream.
        size: Height and width.
        alpha: Slope of the spectrum.
        channels: How many independent fields.

    Returns:
        ``(height, width, channels)`` float32 of mean 0 and variance 1.
    """
    white = rng.standard_normal((channels, *size), np.float32)
    frequency = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1]))
    frequency[0, 0] = 1
    amplitude = frequency**-alpha
    amplitude[0, 0] = 0  # the mean of a field is not noise
    field = np.fft.irfft2(np.fft.rfft2(white) * amplitude, size)
    field /= np.maximum(field.std(axis=(1, 2), keepdims=True), 1e-12)
    return field.transpose(1, 2, 0).astype(np.float32)


def mix_colors(field: Array) -> Array:
    """Give independent channels the covariance of the colours of photographs.

    Args:
        field: ``(..., 3)``, independent, of variance 1.

    Returns:
        ``(..., 3)`` red, green and blue, of variance 1 on average.
    """
    spread = np.sqrt(3 * _VARIANCES / _VARIANCES.sum())
    return field @ (spread[:, None] * _AXES).astype(field.dtype)
