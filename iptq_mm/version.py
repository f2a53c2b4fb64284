"""The version of iptq_mm."""

__version__ = '0.2.0'
