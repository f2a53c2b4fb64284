"""Data sets that the project makes or reads."""
