"""Detectors: their regions are integer programs, and this is what stands between them.

Every step is defined to the last bit by IEEE arithmetic of doubles, so that
``runtime/web/detection/`` computes the same numbers in JavaScript: sums and products in
a written order, square roots, an exponential of its own (:mod:`.exact`), and RoIAlign
in whole numbers (:mod:`.pooling`). Equal scores keep their order.
"""

from .detector import Detections, Detector, pixels_of

__all__ = ['Detections', 'Detector', 'pixels_of']
