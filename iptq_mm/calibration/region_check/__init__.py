"""The check after freezing: whether integers are as good as their plan predicts."""
