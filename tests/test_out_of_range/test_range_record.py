"""Records of values outside of their range."""

import json

import torch

from iptq_mm.out_of_range import OutOfRange, OutOfRangeLog, fit_name


def test_a_record_by_hand():
    seen = OutOfRange()
    seen.see(torch.tensor([-130, -129, -128, 127, 128, 130, 131, 135]), -128, 127)
    assert (seen.total, seen.outside, seen.width) == (8, 6, 255)
    assert (seen.low, seen.high) == ([1, 1], [1, 1, 1, 1])
    assert seen.farthest == (2, 8)
    assert seen.share == 6 / 8
    assert OutOfRange().share == 0.0


def test_parts_merge_to_the_whole():
    """Over batches, over ranks: any division gives the same record."""
    x = (torch.randn(600, generator=torch.Generator().manual_seed(1)) * 200).long()
    whole = OutOfRange()
    whole.see(x, -128, 127)
    for sizes in ([600], [1, 599], [200, 150, 250]):
        parts = []
        for part in x.split(sizes):
            parts.append(OutOfRange())
            parts[-1].see(part, -128, 127)
        merged = OutOfRange()
        for part in reversed(parts):
            merged.merge(part)
        assert merged == whole
    assert whole.outside > 100


def test_logs_merge_and_survive_json():
    one, other = OutOfRangeLog(rows=3, counted=1), OutOfRangeLog(rows=2, counted=2)
    one.at('a').see(torch.tensor([300, 5]), -128, 127)
    other.at('a').see(torch.tensor([-300, 5]), -128, 127)
    other.at(fit_name('a')).add_inside(7, 100)
    one.merge(other)
    assert (one.rows, one.counted, [*one.sites]) == (5, 3, ['a', 'a (fit)'])
    assert one.sites['a'].farthest == (172, 173) and one.sites['a'].total == 4
    assert OutOfRangeLog.from_dict(json.loads(json.dumps(one.to_dict()))) == one
