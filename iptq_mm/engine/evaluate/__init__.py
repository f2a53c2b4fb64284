"""Evaluation of the integer and the float model on the same images."""
