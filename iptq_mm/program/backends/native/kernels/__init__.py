"""Emitters: from nodes to commands, one file for each kind of kernel."""
