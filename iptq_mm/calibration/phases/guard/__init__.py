"""The phase guard: ranges that lose on held-out images are not used."""
