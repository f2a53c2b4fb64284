"""What other software makes of an exported file: which integers, which operators."""
