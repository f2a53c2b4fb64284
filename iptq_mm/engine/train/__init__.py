"""Training of quantized models in mmengine's loop, on integers."""
