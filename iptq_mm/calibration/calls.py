"""When the forward pass of a calibration batch may end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

#: How often each region ran in whole passes over so many images.
Usual = dict[int, Counter[str]]


class Calls:
    """How often each region runs in a forward pass.

    A pass may end when every region has run as often as in any whole pass over as
    many images. Regions differ: a head may run once for each stage, and a mask head
    only where something is detected. As long as one of them never ran, no pass ends.

    Args:
        regions: Names of the regions.
        usual: What earlier passes have shown, by the number of images; more is added.
            None: nothing yet, so that the first pass is whole.
    """

    def __init__(self, regions: Iterable[str], usual: Usual | None = None) -> None:
        self._regions = set(regions)
        self._usual = {} if usual is None else usual
        self.start()

    def start(self) -> None:
        """A pass begins."""
        self._now: Counter[str] = Counter()
        self._images = 0

    def add(self, region: str, images: int) -> bool:
        """A region has run.

        Args:
            region: Its name.
            images: Rows of its input; the batch's, for the first region of a pass.

        Returns:
            Whether the pass may end.
        """
        if not self._now:
            self._images = images
        self._now[region] += 1
        usual = self._usual.get(self._images, Counter())
        return all(self._now[n] >= usual[n] > 0 for n in self._regions)

    def finish(self) -> None:
        """The pass has ended."""
        self._usual[self._images] = self._usual.get(self._images, Counter()) | self._now
