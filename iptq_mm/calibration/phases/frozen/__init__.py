"""What the phase freeze says and keeps while it rounds."""
