"""Nodes that become part of the command of another node."""
