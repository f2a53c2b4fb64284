"""Writing of results: integer checkpoints, configs and programs."""
