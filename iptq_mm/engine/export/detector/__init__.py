"""Whole detectors for the runtime: programs of their regions, and what joins these."""

from .programs import DetectorPrograms, detector_programs
from .written import export_detector, write_detector

__all__ = [
    'DetectorPrograms',
    'detector_programs',
    'export_detector',
    'write_detector',
]
