"""Tensors in buffers, steps that use them, their memory, and commands."""
