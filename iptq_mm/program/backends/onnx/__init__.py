"""Programs as ONNX models of integer operators only."""

from .backend import Onnx
from .export import export_onnx, to_onnx

__all__ = ['Onnx', 'export_onnx', 'to_onnx']
