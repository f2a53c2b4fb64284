"""Programs by torch.compile."""
