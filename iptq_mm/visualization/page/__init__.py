"""Pages of one file: templates, style and script, and the libraries that draw."""

from .render import render

__all__ = ['render']
