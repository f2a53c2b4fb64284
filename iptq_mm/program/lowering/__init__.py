"""Nodes of a program become graphs of aten operations on integers."""
