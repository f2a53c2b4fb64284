"""The images that differ most are those that do, and looking for them fails no run."""

import base64
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from iptq_mm.engine.evaluate import differing
from iptq_mm.engine.evaluate.differing import Differing


def classified(scores, name, **given):
    return SimpleNamespace(
        pred_score=torch.tensor(scores), metainfo={'img_path': name}, **given
    )


def detected(boxes, scores, labels):
    found = InstanceData(
        bboxes=torch.tensor(boxes).reshape(-1, 4),
        scores=torch.tensor(scores),
        labels=torch.tensor(labels),
    )
    return SimpleNamespace(pred_instances=found, metainfo={'ori_shape': (20, 30)})


def batch(count, size=(20, 30)):
    return {'inputs': [torch.full((3, *size), 200, dtype=torch.uint8)] * count}


def picture(entry):
    data = np.frombuffer(base64.b64decode(entry['jpeg']), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def test_the_largest_differences_are_kept():
    watch = Differing(['cat', 'dog'], most=3)
    shares = [0.5, 0.1, 0.9, 0.3, 0.0, 0.7]
    for n, share in enumerate(shares):
        floats = [classified([1.0, 0.0], f'{n}.png', gt_label=torch.tensor([1]))]
        integers = [classified([1 - share, share], f'{n}.png')]
        watch.see(batch(1), floats, integers)
    kept = watch.finish()
    assert [e['name'] for e in kept] == ['2.png', '5.png', '0.png']
    assert [e['difference'] for e in kept] == pytest.approx([0.9, 0.7, 0.5])
    assert kept[0]['label'] == 'dog'
    assert kept[0]['sides'] == [
        'float: cat 1.000, dog 0.000',
        'integer: dog 0.900, cat 0.100',
    ]
    assert abs(picture(kept[0]).astype(int) - 200).max() < 4


def test_the_same_is_no_difference():
    watch = Differing()
    same = [classified([0.3, 0.7], 'a.png')]
    watch.see(batch(1), same, same)
    assert watch.finish() == []


def test_objects_of_one_model_alone_count():
    box, moved, far = [0.0, 0, 10, 10], [0.0, 1, 10, 10], [15.0, 5, 25, 15]
    floats = detected([box, far], [0.9, 0.8], [0, 1])
    integers = detected([moved, far, far], [0.7, 0.8, 0.2], [0, 0, 1])
    watch = Differing(['red', 'green'])
    watch.see(batch(1), [floats], [integers])
    (entry,) = watch.finish()
    # One moved and lost 0.2, one has another class in each; 0.2 does not count.
    assert entry['difference'] == pytest.approx(0.2 + 0.8 + 0.8)
    assert entry['sides'] == [
        'float: red 0.90, green 0.80',
        'integer: red 0.80, red 0.70',
    ]
    assert picture(entry).shape[1] > 2 * 30  # both models beside each other


def test_equal_scores_keep_their_order():
    """More than 16, which the sort of torch alone may mix up."""
    boxes = [[float(i), 0.0, i + 1.0, 1.0] for i in range(40)]
    found = detected(boxes, [0.5] * 40, list(range(40))).pred_instances
    assert differing._strong(found).labels.tolist() == list(range(40))


def test_an_image_without_objects():
    watch = Differing(['red'])
    watch.see(
        batch(1), [detected([], [], [])], [detected([[0.0, 0, 5, 5]], [0.6], [0])]
    )
    (entry,) = watch.finish()
    assert entry['difference'] == pytest.approx(0.6)
    assert entry['sides'][0] == 'float: nothing'


def test_a_large_picture_is_small():
    watch = Differing()
    watch.see(
        batch(1, (1000, 800)), [classified([1.0, 0], 'a')], [classified([0, 1.0], 'a')]
    )
    assert max(picture(watch.finish()[0]).shape) == 256


def test_predictions_of_another_kind_are_no_error(monkeypatch):
    said = []
    monkeypatch.setattr(differing, 'print_log', lambda *args: said.append(args[0]))
    watch = Differing()
    odd = SimpleNamespace(pred_score=torch.ones(3), metainfo={})
    odd_too = SimpleNamespace(pred_score=torch.ones(2), metainfo={})
    for _ in range(2):
        watch.see(batch(1), [odd], [odd_too])
    assert watch.finish() == [] and len(said) == 1
    watch.see(batch(1), None, [odd])
    watch.see(batch(1), [SimpleNamespace()], [SimpleNamespace()])
