"""Compiled programs as files, which run without Python (``runtime/``)."""
