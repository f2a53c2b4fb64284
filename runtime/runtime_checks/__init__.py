"""Builds the runtime for several machines, and compares what they compute."""
