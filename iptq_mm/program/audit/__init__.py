"""The audit: a proof, from the integer program, that a model runs on integers only."""

from .model import ModelAudit, audit_model
from .outside import FloatPart
from .programs import Finding, ProgramAudit, SiteAudit, audit_program
from .report import markdown, plain

__all__ = [
    'Finding',
    'FloatPart',
    'ModelAudit',
    'ProgramAudit',
    'SiteAudit',
    'audit_model',
    'audit_program',
    'markdown',
    'plain',
]
