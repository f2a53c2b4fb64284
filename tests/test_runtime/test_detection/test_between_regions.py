"""What stands between the regions, beside mmdet and mmcv, and beside exact numbers."""

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from iptq_runtime.detection.boxes import anchors, decoded, kept
from iptq_runtime.detection.exact import exponential, sigmoid, softmax
from iptq_runtime.detection.masks import pasted
from iptq_runtime.detection.pooling import levels, pooled, weights

pytestmark = pytest.mark.slow  # imports mmdet

SIZE = (96, 128)
TARGET = SimpleNamespace(shape=(1, 3, 7, 7), dtype='int16', low=-126, high=129)
POOL = {'cells': 7, 'samples': 0, 'strides': [4, 8, 16], 'finest': 20.0}


def boxes_of(count, seed=0):
    """Boxes within the image, some of them along its border, one without extent."""
    rng = np.random.default_rng(seed)
    one, other = rng.uniform(-20, 150, (2, count, 2))
    made = np.concatenate([np.minimum(one, other), np.maximum(one, other)], axis=1)
    made = np.clip(made, 0, [SIZE[1], SIZE[0]] * 2)
    made[0, 2:] = made[0, :2]
    return made


def maps_of(high, seed=0):
    """Integer maps and what they stand for."""
    rng = np.random.default_rng(seed)
    shapes = [(1, 3, SIZE[0] // s, SIZE[1] // s) for s in POOL['strides']]
    maps = [rng.integers(-high, high + 1, shape).astype(np.int16) for shape in shapes]
    ports = [
        SimpleNamespace(shape=m.shape, scale=0.0004, low=-high, high=high) for m in maps
    ]
    return maps, ports


def test_the_exponential_is_close():
    x = np.concatenate([np.linspace(-700, 700, 10001), np.linspace(-1, 1, 1001)])
    real = np.exp(x.astype(np.longdouble))
    assert np.abs(exponential(x) / real - 1).max() < 2 * np.finfo(np.float64).eps
    assert exponential(np.array([0.0])) == 1.0
    assert np.isfinite(exponential(np.array([-1e9, 1e9]))).all()


def test_probabilities():
    x = np.random.default_rng(0).normal(size=(50, 7)) * 5
    expected = torch.softmax(torch.from_numpy(x), 1).numpy()
    assert np.abs(softmax(x) - expected).max() < 1e-14
    assert np.abs(sigmoid(x) - torch.from_numpy(x).sigmoid().numpy()).max() < 1e-14


def test_anchors_are_those_of_mmdet():
    from mmdet.models.task_modules import AnchorGenerator

    generator = AnchorGenerator(
        strides=[4, 8], ratios=[0.5, 1.0, 2.0], scales=[4], base_sizes=[4, 8]
    )
    expected = generator.grid_priors([(5, 7), (3, 4)], device='cpu')
    for level, size in enumerate([(5, 7), (3, 4)]):
        base = generator.base_anchors[level].double().tolist()
        stride = generator.strides[level]
        made = anchors(base, stride, size)
        assert np.abs(made - expected[level].numpy()).max() < 1e-5


def test_boxes_are_decoded_as_by_mmdet():
    from mmdet.models.task_modules import DeltaXYWHBBoxCoder

    stds = (0.1, 0.1, 0.2, 0.2)
    deltas = np.random.default_rng(1).normal(size=(300, 4)) * 6
    boxes = boxes_of(300)
    coder = {'means': [0.0] * 4, 'stds': list(stds), 'limit': 4.135166556742356}
    made = decoded(boxes, deltas, coder, SIZE)
    expected = DeltaXYWHBBoxCoder(target_stds=stds).decode(
        torch.from_numpy(boxes), torch.from_numpy(deltas), max_shape=SIZE
    )
    assert np.abs(made - expected.numpy()).max() < 1e-10
    assert not np.signbit(made).any()


@pytest.mark.parametrize('seed', range(3))
def test_overlaps_are_those_of_mmcv(seed):
    from mmcv.ops import batched_nms

    rng = np.random.default_rng(seed)
    boxes, scores = boxes_of(400, seed), rng.permutation(400) / 400
    groups = rng.integers(0, 3, 400)
    made = kept(boxes, scores, groups, 0.3, 1000)
    # Without the offsets of groups, which cost digits in float32.
    expected = [
        np.flatnonzero(groups == group)[
            batched_nms(
                torch.from_numpy(boxes[groups == group]).float(),
                torch.from_numpy(scores[groups == group]).float(),
                torch.zeros((groups == group).sum()),
                {'type': 'nms', 'iou_threshold': 0.3},
            )[1].numpy()
        ]
        for group in range(3)
    ]
    assert 20 < len(made) < 300
    assert sorted(made) == sorted(np.concatenate(expected))
    assert list(scores[made]) == sorted(scores[made], reverse=True)
    assert list(kept(boxes, scores, groups, 0.3, 5)) == list(made[:5])


def test_equal_scores_keep_their_order():
    boxes = np.array([[0, 0, 4, 4]] * 40, np.float64) + np.arange(40)[:, None] * 9
    groups = np.zeros(40, int)
    assert list(kept(boxes, np.ones(40), groups, 0.5, 99)) == list(range(40))


def test_levels_are_those_of_mmdet():
    from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor

    boxes = boxes_of(500)
    own = SimpleNamespace(finest_scale=20)
    rois = torch.from_numpy(np.pad(boxes, ((0, 0), (1, 0))))
    expected = SingleRoIExtractor.map_roi_levels(own, rois, 3)
    made = levels(boxes, 20.0, 3)
    assert (made == expected.numpy()).all() and set(made) == {0, 1, 2}


@pytest.mark.parametrize('samples', [0, 2])
@pytest.mark.parametrize('high', [127, 32767])
def test_cells_are_those_of_mmcv(high, samples):
    from mmcv.ops import roi_align

    maps, ports = maps_of(high)
    target = SimpleNamespace(**vars(TARGET), scale=0.0004 * high / 150)
    boxes = boxes_of(200)
    made = pooled(maps, ports, boxes, POOL | {'samples': samples}, target)
    of_map = levels(boxes, POOL['finest'], 3)
    rois = torch.from_numpy(np.pad(boxes, ((0, 0), (1, 0)))).float()
    for level, (ints, port) in enumerate(zip(maps, ports, strict=True)):
        real = torch.from_numpy(ints.astype(np.float32)) * port.scale
        stride = POOL['strides'][level]
        cells = roi_align(real, rois, (7, 7), 1 / stride, samples, 'avg', True)
        wanted = np.clip(np.rint(cells.numpy() / target.scale), -126, 129)
        apart = np.abs(made - wanted)[of_map == level]
        assert len(apart) > 10
        # A weight is off by up to 2**-19, and float32 is off as well.
        assert apart.max() <= 1 and (apart > 0).mean() < 2e-3
    assert np.abs(made).max() > 60


def test_cells_are_exact():
    """Sums in doubles are those of whole numbers of any size."""
    maps, ports = maps_of(32767, seed=4)
    target = SimpleNamespace(**vars(TARGET), scale=0.05)
    boxes = boxes_of(3, seed=5)[1:2]
    (level,) = levels(boxes, POOL['finest'], 3)
    made = pooled(maps, ports, boxes, POOL, target)
    stride = POOL['strides'][level]
    x1, y1, x2, y2 = boxes.T / stride - 0.5
    height, width = maps[level].shape[2:]
    rows = weights(y1, y2, 7, 0, height, 18)[0]
    columns = weights(x1, x2, 7, 0, width, 18)[0]
    assert abs(rows.sum(axis=1) - 2**18).max() < 8
    for y, x in ((0, 0), (3, 5), (6, 6)):
        total = sum(
            int(rows[y, r]) * int(columns[x, c]) * int(maps[level][0, 1, r, c])
            for r in range(height)
            for c in range(width)
        )
        share = Fraction(ports[level].scale / target.scale) / 2**36
        assert made[0, 1, y, x] == np.clip(round(total * share), -126, 129)


def test_masks_are_those_of_mmdet():
    from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask

    rng = np.random.default_rng(2)
    boxes = boxes_of(30)
    # Of a box without extent, mmdet takes the middle of the grid for every pixel.
    for box in boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]:
        grid = rng.uniform(0, 1, (14, 14))
        given = (
            torch.from_numpy(grid)[None, None].float(),
            torch.from_numpy(box)[None].float(),
        )
        values = _do_paste_mask(*given, *SIZE, skip_empty=False)[0][0].numpy()
        near = np.abs(values - 0.5) < 1e-3
        made = pasted(grid, box, SIZE, 0.5)
        assert (made == (values >= 0.5))[~near].all() and near.mean() < 0.02
    assert not pasted(grid, np.array([4.0, 4.0, 4.0, 9.0]), SIZE, 0.5).any()
