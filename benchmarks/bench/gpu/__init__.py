"""Integer models on a GPU: the same integers as on the CPU, and how fast."""
