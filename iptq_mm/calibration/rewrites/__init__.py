"""Exact rewritings of the float model before it is quantized."""
