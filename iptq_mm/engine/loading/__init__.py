"""What is read: command lines, configs, checkpoints, models."""
