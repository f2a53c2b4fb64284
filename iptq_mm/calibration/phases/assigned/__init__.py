"""Phases of the model whose functions are chosen: its ranges are taken again."""
