"""The version of iptq_mm."""

__version__ = '0.3.0'
