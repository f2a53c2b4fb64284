"""Criteria: by which figure the function of a site is chosen, one a file."""

from .base import Criterion
from .cost import Cost
from .errors import CandidateErrors
from .fixed import Fixed
from .output_error import OutputError
from .perturbation import Perturbation
from .sqnr import SQNR
from .sqnr_difference import SQNRDifference
from .unified_metric import UnifiedMetric

__all__ = [
    'SQNR',
    'CandidateErrors',
    'Cost',
    'Criterion',
    'Fixed',
    'OutputError',
    'Perturbation',
    'SQNRDifference',
    'UnifiedMetric',
]
