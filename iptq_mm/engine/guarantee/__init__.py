"""A guarantee of agreement, from images that calibrate nothing."""

from .certify import CertifyHook
from .hook import FlagHook

__all__ = ['CertifyHook', 'FlagHook']
