"""The program as data: its graph, what nodes mean, files, text."""
