"""Compiled programs as C99 that needs nothing: no heap, no library, no float."""
