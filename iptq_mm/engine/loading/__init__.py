"""Reading of command lines, configs, checkpoints and models."""
