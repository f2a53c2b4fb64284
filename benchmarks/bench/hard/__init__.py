"""Models that are equal to DeiT in floats and harder to quantize."""
