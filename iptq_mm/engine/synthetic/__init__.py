"""Calibration images made from the float model alone."""
