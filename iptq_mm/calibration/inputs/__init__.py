"""What is decided about the inputs of regions that are no usual floats."""
