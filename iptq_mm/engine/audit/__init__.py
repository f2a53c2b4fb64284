"""Proofs and comparisons of the model that a config builds."""
