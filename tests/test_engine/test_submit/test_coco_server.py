"""What the servers of COCO get: checked by pycocotools, and against their rules."""

import json
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pycocotools import mask as rle
from pycocotools.coco import COCO

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.submit.coco import CocoServer

SIZE = (40, 60)
#: As in COCO, not all numbers are given out.
CATEGORIES = [1, 3, 90]


def dataset(count=3, name='image_info_test-dev2017.json', **changes):
    infos = [dict(img_id=100 + i, height=SIZE[0], width=SIZE[1]) for i in range(count)]

    class Images(SimpleNamespace):
        def __len__(self):
            return count

        def get_data_info(self, index):
            return infos[index]

    given = dict(cat_ids=CATEGORIES, ann_file=f'annotations/{name}')
    return Images(**{**given, **changes})


def sample(image, count=2, masks=True):
    rng = np.random.default_rng(image)
    corner = rng.uniform(0, 20, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(1, 20, (count, 2))], 1)
    pred = {
        'bboxes': torch.tensor(boxes, dtype=torch.float32),
        'scores': torch.tensor(rng.uniform(0, 1, count), dtype=torch.float32),
        'labels': torch.tensor(rng.integers(0, 3, count)),
    }
    if masks:
        pred['masks'] = [
            rle.encode(np.asfortranarray(rng.integers(0, 2, SIZE, dtype=np.uint8)))
            for _ in range(count)
        ]
    return {'img_id': 100 + image, 'pred_instances': pred}


def read(path):
    with zipfile.ZipFile(path) as file:
        (name,) = file.namelist()
        assert file.testzip() is None
        return name, json.loads(file.read(name))


def test_both_files(tmp_path):
    samples = [sample(0), sample(1, 0), sample(2, 5)]
    files = CocoServer(dataset(), 'Mine-1').write(samples, tmp_path)
    title = 'detections_test-dev2017_Mine-1_results'
    assert files == [tmp_path / kind / f'{title}.zip' for kind in ('bbox', 'segm')]
    (name, boxes), (other, masks) = map(read, files)
    assert name == other == f'{title}.json'
    assert len(boxes) == len(masks) == 7
    assert {b['image_id'] for b in boxes} == {100, 102}
    assert {b['category_id'] for b in boxes} <= set(CATEGORIES)
    assert all(b.keys() == {'image_id', 'category_id', 'score', 'bbox'} for b in boxes)
    fields = {'image_id', 'category_id', 'score', 'segmentation'}
    assert all(m.keys() == fields for m in masks)
    # Nothing is lost: the floats of 32 bits come back.
    first = samples[0]['pred_instances']
    box = torch.tensor(boxes[0]['bbox'], dtype=torch.float32)
    assert torch.equal(box[:2], first['bboxes'][0, :2])
    assert torch.allclose(box[:2] + box[2:], first['bboxes'][0, 2:])
    assert torch.tensor(masks[1]['score']) == first['scores'][1]
    decoded = [rle.decode(m['segmentation']) for m in masks[:2]]
    expected = [rle.decode(m) for m in first['masks']]
    assert all(map(np.array_equal, decoded, expected))


def test_the_area_of_a_mask_is_its_own(tmp_path):
    """mmdet writes boxes beside masks, whose area COCO would take instead."""
    _, masks = map(read, CocoServer(dataset(1), 'a').write([sample(0)], tmp_path))
    truth = COCO()
    truth.dataset = {
        'images': [dict(id=100, height=SIZE[0], width=SIZE[1])],
        'categories': [dict(id=i, name=str(i)) for i in CATEGORIES],
        'annotations': [],
    }
    truth.createIndex()
    loaded = truth.loadRes(masks[1])
    for found, given in zip(loaded.anns.values(), masks[1], strict=True):
        assert found['area'] == rle.area(given['segmentation'])


def test_a_detector_without_masks(tmp_path):
    files = CocoServer(dataset(1), 'a').write([sample(0, masks=False)], tmp_path)
    assert [f.parent.name for f in files] == ['bbox']


def test_scores_of_masks(tmp_path):
    """Mask Scoring R-CNN has others for masks than for boxes."""
    given = sample(0)
    given['pred_instances']['mask_scores'] = torch.tensor([0.25, 0.5])
    boxes, masks = map(read, CocoServer(dataset(1), 'a').write([given], tmp_path))
    assert [m['score'] for m in masks[1]] == [0.25, 0.5]
    assert [b['score'] for b in boxes[1]] != [0.25, 0.5]


@pytest.mark.parametrize(
    ('name', 'testset'),
    [
        ('image_info_test-dev2017.json', 'test-dev2017'),
        ('instances_val2017.json', 'val2017'),
        ('image_info_test2017.json', 'test2017'),
        ('image_info_test-challenge2017.json', 'test-challenge2017'),
    ],
)
def test_names_of_test_sets(tmp_path, name, testset):
    (path, _) = CocoServer(dataset(1, name), 'a').write([sample(0)], tmp_path)
    assert path.name == f'detections_{testset}_a_results.zip'


def test_mistakes(tmp_path):
    with pytest.raises(ConfigError, match='--testset, test-dev2017 for instance'):
        CocoServer(dataset(name='mine.json'), 'a')
    assert CocoServer(dataset(name='mine.json'), 'a', 'val2017')
    with pytest.raises(ConfigError, match='no categories of COCO'):
        CocoServer(dataset(cat_ids=None), 'a')
    server = CocoServer(dataset(2), 'a')
    for samples, message in (
        ([sample(0)], 'of 1 images, 1 of them among the 2'),
        ([sample(0), sample(0)], 'of 2 images, 1 of them among the 2'),
        ([sample(0), sample(7)], 'of 2 images, 1 of them among the 2'),
        ([sample(0, 0), sample(1, 0)], 'nothing is detected in any image'),
    ):
        with pytest.raises(ConfigError, match=message):
            server.write(samples, tmp_path)
    assert not list(tmp_path.rglob('*.zip'))


def test_results_that_the_server_would_refuse(tmp_path):
    def spoiled(change):
        given = sample(0)
        change(given['pred_instances'])
        return given

    def score(pred):
        pred['scores'][0] = 1.5

    def not_a_number(pred):
        pred['scores'][1] = float('nan')

    def corners(pred):
        pred['bboxes'][0] = torch.tensor([9.0, 9.0, 3.0, 3.0])

    def size(pred):
        small = np.asfortranarray(np.ones((3, 4), np.uint8))
        pred['masks'][0] = rle.encode(small)

    for change in (score, not_a_number, corners, size):
        with pytest.raises(ConfigError, match='image 100 of 40x60.*does not allow'):
            CocoServer(dataset(1), 'a').write([spoiled(change)], tmp_path / 'x')
    assert not list(tmp_path.glob('x/segm/*'))
