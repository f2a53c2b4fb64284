"""Compares region outputs and predicted classes of the float and the integer model."""

from __future__ import annotations

from typing import Any

import torch
from mmengine import dist
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ...modes import Integer, Region
from ...utils.decibels import decibels

#: Second-stage heads see the proposals of their own model: row by row, their
#: outputs belong to other boxes.
_NOT_COMPARABLE = ('roi_head',)


class OutputComparison:
    """Sums over what both models compute: errors of regions, equal classes, saturation.

    Args:
        float_model: The float model.
        regions: The regions of the integer model.
    """

    def __init__(self, float_model: nn.Module, regions: dict[str, Region]) -> None:
        self.regions = regions
        self.expected: dict[str, list[list[Tensor]]] = {}
        self.powers: dict[str, list[float]] = {}
        self.same = [0, 0]
        for name, region in regions.items():
            # Only the eager mode sees what is clipped.
            _integer(region).saturation = None if region.session else {}
            if name.partition('.')[0] in _NOT_COMPARABLE:
                continue
            expected = self.expected[name] = []
            region.on_output = self._compare_outputs
            float_model.get_submodule(name).register_forward_hook(
                lambda m, i, output, expected=expected: expected.append(  # type: ignore
                    [t for t in tree_leaves(output) if _is_float(t)]
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
        """Compare the predicted classes of a batch."""
        for outputs in self.expected.values():
            outputs.clear()
        for f, q in zip(floats, integers, strict=True):
            if hasattr(f, 'pred_score') and hasattr(q, 'pred_score'):
                self.same[0] += int(f.pred_score.argmax() == q.pred_score.argmax())
                self.same[1] += 1

    def summary(self) -> dict[str, Any]:
        """Figures over all ranks; ends the comparison."""
        clipped = {
            f'{name}:{site}': [seen.saturated, seen.total]
            for name, region in self.regions.items()
            for site, seen in (_integer(region).saturation or {}).items()
        }
        for region in self.regions.values():
            _integer(region).saturation = None
            region.on_output = None
        powers: dict[str, list[float]] = {}
        counts: dict[str, list[float]] = {}
        # Ranks may have seen other sites: a head that no image called.
        for rank in dist.all_gather_object((self.powers, clipped, self.same)):
            for key, value in rank[0].items():
                _add(powers, key, value)
            for key, value in rank[1].items():
                _add(counts, key, value)
            _add(counts, 'same', rank[2])
        same, images = counts.pop('same')
        result: dict[str, Any] = {}
        if images:
            result['agreement'] = round(same / images, 6)
        result['output_sqnr_db'] = {
            k: round(decibels(*powers[k]), 2) for k in sorted(powers)
        }
        if any(region.session for region in self.regions.values()):
            return result
        result['saturation'] = {k: s / total for k, (s, total) in counts.items() if s}
        result['saturated_values'] = [
            sum(pair[i] for pair in counts.values()) for i in (0, 1)
        ]
        return result


def _integer(region: Region) -> Integer:
    assert isinstance(region.mode, Integer)
    return region.mode


def _is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _add(sums: dict[str, list[float]], key: str, values: list[float]) -> None:
    sums[key] = [a + b for a, b in zip(sums.get(key, [0, 0]), values, strict=True)]
