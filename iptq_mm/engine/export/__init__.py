"""What is written: configs, checkpoints, programs."""
