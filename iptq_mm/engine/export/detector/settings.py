"""What stands between the regions of a two-stage detector of mmdet, as plain data.

``runtime/python/iptq_runtime/detection`` and ``runtime/web/detection`` carry it out.
Whatever they do not know is refused here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from ....calibration import ConfigError

#: Box heads whose ``predict`` is mmdet's.
_BOX_HEADS = (
    'BBoxHead',
    'ConvFCBBoxHead',
    'Shared2FCBBoxHead',
    'Shared4Conv1FCBBoxHead',
)
#: Version of ``detector.json``; the runtimes know the same.
VERSION = 1


def detector_settings(model: nn.Module) -> dict[str, Any]:
    """The settings of anchors, decoding, RoIAlign, NMS and masks.

    Args:
        model: A detector with RPN and heads for its boxes.

    Raises:
        ConfigError: If a part is another than those that the runtimes have.
    """
    rpn: Any = getattr(model, 'rpn_head', None)
    roi: Any = getattr(model, 'roi_head', None)
    if rpn is None or roi is None:
        raise ConfigError(
            f'{type(model).__name__} has no rpn_head and roi_head: only two-stage '
            'detectors are exported whole; export its regions with --regions'
        )
    _is('rpn_head', rpn, 'RPNHead')
    _is('roi_head', roi, 'StandardRoIHead', 'CascadeRoIHead')
    _equals('roi_head.shared_head', bool(roi.with_shared_head), False)
    return {
        'version': VERSION,
        'proposals': _proposals(rpn),
        'boxes': _boxes(roi),
        'masks': _masks(roi) if roi.with_mask else None,
    }


def box_heads(roi_head: Any) -> Sequence[nn.Module]:
    """The box heads of all stages."""
    return _stages(roi_head.bbox_head)


def mask_heads(roi_head: Any) -> Sequence[nn.Module]:
    """The mask heads of all stages."""
    return _stages(roi_head.mask_head)


def _stages(heads: Any) -> Sequence[nn.Module]:
    return list(heads) if isinstance(heads, nn.ModuleList) else [heads]


def _is(where: str, part: Any, *known: str) -> None:
    """Refuse a part of another class: subclasses may compute something else."""
    if type(part).__name__ not in known:
        raise ConfigError(
            f'{where} is {type(part).__name__}: whole detectors are exported with '
            f'{" or ".join(known)}; export the regions with --regions'
        )


def _equals(where: str, found: Any, wanted: Any) -> None:
    if found != wanted:
        raise ConfigError(
            f'{where} is {found!r}: whole detectors are exported with {wanted!r} only; '
            'export the regions with --regions'
        )


def _count(where: str, cfg: Any) -> int:
    """The most boxes that are kept; mmdet keeps all where it is not positive."""
    if int(cfg.max_per_img) < 1:
        raise ConfigError(
            f'{where}.max_per_img is {cfg.max_per_img}: whole detectors are exported '
            'with a limit; set one'
        )
    return int(cfg.max_per_img)


def _overlap(where: str, nms: Mapping[str, Any]) -> float:
    """The threshold of an NMS that only compares overlaps."""
    _equals(f'{where}.type', nms.get('type', 'nms'), 'nms')
    known = {'type', 'iou_threshold', 'iou_thr', 'split_thr'}
    _equals(f'{where}: further settings', sorted(set(nms) - known), [])
    return float(nms['iou_threshold'] if 'iou_threshold' in nms else nms['iou_thr'])


def _coder(where: str, coder: Any) -> dict[str, Any]:
    _is(where, coder, 'DeltaXYWHBBoxCoder')
    _equals(f'{where}.clip_border', coder.clip_border, True)
    _equals(f'{where}.add_ctr_clamp', coder.add_ctr_clamp, False)
    return {
        'means': [float(x) for x in coder.means],
        'stds': [float(x) for x in coder.stds],
        'limit': math.log(1000 / 16),  # its default, which no head changes
    }


def _proposals(rpn: Any) -> dict[str, Any]:
    generator, cfg = rpn.prior_generator, rpn.test_cfg
    _is('rpn_head.anchor_generator', generator, 'AnchorGenerator')
    _equals('rpn_head: use_sigmoid', rpn.use_sigmoid_cls, True)
    _equals('rpn_head: classes', rpn.cls_out_channels, 1)
    return {
        'anchors': [base.double().tolist() for base in generator.base_anchors],
        'strides': [list(map(int, stride)) for stride in generator.strides],
        'coder': _coder('rpn_head.bbox_coder', rpn.bbox_coder),
        'candidates': int(cfg.get('nms_pre', -1)),
        'overlap': _overlap('test_cfg.rpn.nms', cfg.nms),
        'count': _count('test_cfg.rpn', cfg),
        # mmdet leaves out boxes of the least size only where there is one.
        'smallest': float(cfg.get('min_bbox_size', -1)),
    }


def _pool(where: str, extractor: Any) -> dict[str, Any]:
    _is(where, extractor, 'SingleRoIExtractor')
    layer = extractor.roi_layers[0]
    if not any(c.__name__ == 'RoIAlign' for c in type(layer).__mro__):
        _is(f'{where}.roi_layer', layer, 'RoIAlign')
    _equals(f'{where}: pool_mode', layer.pool_mode, 'avg')
    _equals(f'{where}: aligned', layer.aligned, True)
    rows, columns = layer.output_size
    _equals(f'{where}: columns', columns, rows)
    return {
        'cells': int(rows),
        'samples': int(layer.sampling_ratio),
        'strides': [int(stride) for stride in extractor.featmap_strides],
        'finest': float(extractor.finest_scale),
    }


def _boxes(roi: Any) -> dict[str, Any]:
    extractors = _stages(roi.bbox_roi_extractor)
    pools = [_pool('roi_head.bbox_roi_extractor', x) for x in extractors]
    _equals(
        'roi_head.bbox_roi_extractor: of other stages', pools, pools[:1] * len(pools)
    )
    stages = []
    for head in box_heads(roi):
        h: Any = head
        _is('roi_head.bbox_head', head, *_BOX_HEADS)
        _equals('roi_head.bbox_head: custom_activation', h.custom_activation, False)
        _equals('roi_head.bbox_head: parts', (h.with_cls, h.with_reg), (True, True))
        coder = _coder('roi_head.bbox_head.bbox_coder', h.bbox_coder)
        stages.append({'coder': coder, 'agnostic': bool(h.reg_class_agnostic)})
    return {
        'pool': pools[0],
        'stages': stages,
        'least': float(roi.test_cfg.score_thr),
        'overlap': _overlap('test_cfg.rcnn.nms', roi.test_cfg.nms),
        'count': _count('test_cfg.rcnn', roi.test_cfg),
    }


def _masks(roi: Any) -> dict[str, Any]:
    _equals('roi_head.mask_roi_extractor: shared', bool(roi.share_roi_extractor), False)
    extractors = _stages(roi.mask_roi_extractor)
    pools = [_pool('roi_head.mask_roi_extractor', x) for x in extractors]
    _equals(
        'roi_head.mask_roi_extractor: of other stages', pools, pools[:1] * len(pools)
    )
    for head in mask_heads(roi):
        _is('roi_head.mask_head', head, 'FCNMaskHead')
    threshold = float(roi.test_cfg.get('mask_thr_binary', -1))
    if not 0 < threshold <= 1:
        raise ConfigError(
            f'test_cfg.rcnn.mask_thr_binary is {threshold:g}: whole detectors are '
            'exported with masks of yes and no; set a threshold above 0, of at most 1'
        )
    return {
        'pool': pools[0],
        'stages': [{} for _ in mask_heads(roi)],
        'threshold': threshold,
    }
