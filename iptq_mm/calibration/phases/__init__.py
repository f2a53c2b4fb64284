"""One file for each phase of calibration, its mode beside it."""
