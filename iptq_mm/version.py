"""The version of iptq_mm."""

__version__ = '0.1.0'
