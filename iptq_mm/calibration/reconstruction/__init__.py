"""Reconstruction: what integer parts learn from, and how they learn."""
