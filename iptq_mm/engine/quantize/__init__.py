"""Quantization inside an mmengine runner."""
