"""What the phase analyse computes candidates with."""
