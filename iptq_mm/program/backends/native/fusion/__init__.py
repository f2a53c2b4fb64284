"""Several nodes as one command: attention, and the epilogue of products."""
