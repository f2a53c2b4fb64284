"""Answers with a margin: flags of those that are not certain, and a guard."""

from .classifier import GuardedClassifier
from .flags import Flags
from .logits import Logits, logits_of

__all__ = ['Flags', 'GuardedClassifier', 'Logits', 'logits_of']
