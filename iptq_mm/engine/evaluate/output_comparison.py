"""Compares region outputs and predicted classes of the float and the integer model."""

from __future__ import annotations

from typing import Any

import torch
from mmengine import dist
from torch import Tensor, nn

from ...modes import Region
from ...modes.region import is_real
from ...utils.decibels import decibels
from ...utils.trees import tree_leaves

#: Second-stage heads see the proposals of their own model: row by row, their
#: outputs belong to other boxes.
_NOT_COMPARABLE = ('roi_head',)


def comparable(region: str) -> bool:
    """Whether a region gets the same inputs in both models, row by row."""
    return region.partition('.')[0] not in _NOT_COMPARABLE


class OutputComparison:
    """Sums over what both models compute: errors of regions, equal classes.

    Args:
        float_model: The float model; None: it does not run, and no output is compared.
        regions: The regions of the integer model.
    """

    def __init__(
        self, float_model: nn.Module | None, regions: dict[str, Region]
    ) -> None:
        self.regions = regions
        self.expected: dict[str, list[list[Tensor]]] = {}
        self.powers: dict[str, list[float]] = {}
        self.same = [0, 0]
        if float_model is None:
            return
        for name, region in regions.items():
            if not comparable(name):
                continue
            expected = self.expected[name] = []
            region.on_output = self._compare_outputs
            float_model.get_submodule(name).register_forward_hook(
                lambda m, i, output, expected=expected: expected.append(  # type: ignore
                    [t for t in tree_leaves(output) if is_real(t)]
                )
            )

    def _compare_outputs(self, name: str, outputs: list[Tensor]) -> None:
        expected = self.expected[name].pop(0) if self.expected[name] else []
        for i, (e, o) in enumerate(zip(expected, outputs, strict=False)):
            if e.shape == o.shape:
                e, o = e.double(), o.double()
                added = torch.stack([(e * e).sum(), ((e - o) ** 2).sum()]).tolist()
                _add(self.powers, f'{name}:{i}', added)

    def compare(self, floats: Any, integers: Any) -> None:
        """Compare the predicted classes of a batch.

        Args:
            floats: Predictions of the float model; None: there are none.
            integers: Predictions of the integer model.
        """
        for outputs in self.expected.values():
            outputs.clear()
        if floats is None:
            return
        for f, q in zip(floats, integers, strict=True):
            if hasattr(f, 'pred_score') and hasattr(q, 'pred_score'):
                self.same[0] += int(f.pred_score.argmax() == q.pred_score.argmax())
                self.same[1] += 1

    def summary(self) -> dict[str, Any]:
        """Figures over all ranks; ends the comparison."""
        for region in self.regions.values():
            region.on_output = None
        powers: dict[str, list[float]] = {}
        same = images = 0
        # Ranks may have seen other outputs: a head that no image called.
        for rank_powers, (rank_same, rank_images) in dist.all_gather_object(
            (self.powers, self.same)
        ):
            for key, value in rank_powers.items():
                _add(powers, key, value)
            same, images = same + rank_same, images + rank_images
        result: dict[str, Any] = {}
        if images:
            result['agreement'] = round(same / images, 6)
        result['output_sqnr_db'] = {
            k: round(decibels(*powers[k]), 2) for k in sorted(powers)
        }
        return result


def _add(sums: dict[str, list[float]], key: str, values: list[float]) -> None:
    sums[key] = [a + b for a, b in zip(sums.get(key, [0, 0]), values, strict=True)]
