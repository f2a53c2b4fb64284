"""Why an integer model lost accuracy: measured site by site, said in words."""

from .run import Diagnosis, diagnose

__all__ = ['Diagnosis', 'diagnose']
