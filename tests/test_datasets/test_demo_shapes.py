import json
import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import scripts
from pycocotools.coco import COCO

from iptq_mm.datasets import demo_shapes as shapes

TOOL = Path(__file__).parents[2] / 'tools' / 'make_demo_data.py'


@pytest.fixture(scope='module')
def tool():
    # Other processes look the functions up by the name of their module.
    with pytest.MonkeyPatch.context() as patch:
        yield scripts.as_module(TOOL, partial(patch.setitem, sys.modules))


@pytest.fixture(scope='module')
def data(tool, tmp_path_factory):
    out = tmp_path_factory.mktemp('demo') / 'data'
    assert tool.make(out, seed=3, train=6, val=4)
    return out


def files(root):
    paths = sorted(path for path in root.rglob('*') if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def test_a_scene_depends_on_its_own_numbers_only():
    first = shapes.render_scene(1, 'train', 5)
    shapes.render_scene(1, 'train', 6)
    again = shapes.render_scene(1, 'train', 5)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.masks, again.masks)
    assert first.labels == again.labels


@pytest.mark.parametrize('other', [(2, 'train', 5), (1, 'val', 5), (1, 'train', 6)])
def test_other_numbers_give_another_image(other):
    first = shapes.render_scene(1, 'train', 5)
    assert not np.array_equal(first.image, shapes.render_scene(*other).image)


def test_scenes_hold_what_they_should():
    scenes = [shapes.render_scene(0, 'train', index) for index in range(40)]
    found = {label for scene in scenes for label in scene.labels}
    assert found == set(range(len(shapes.CLASSES)))
    for scene in scenes:
        assert scene.image.shape == (shapes.IMAGE_SIZE, shapes.IMAGE_SIZE, 3)
        assert len(scene.labels) == len(scene.masks) <= 8
        assert scene.masks.sum(axis=0).max(initial=0) <= 1, 'visible parts overlap'
        assert scene.masks.any(axis=(1, 2)).all()


@pytest.mark.parametrize('kind', shapes.CLASSES)
def test_shapes_stay_in_their_circle(kind):
    center = np.array([40.0, 40.0])
    cover = shapes.draw_shape(kind, center, 20 * np.eye(2), 80)
    y, x = np.nonzero(cover > 0)
    assert cover.min() == 0 and cover.max() == 1
    assert np.hypot(x + 0.5 - 40, y + 0.5 - 40).max() < 22
    assert (cover[40, 40] == 0) == (kind == 'ring')


def test_boxes_and_areas_match_the_masks(data):
    coco = COCO(data / 'annotations' / 'train.json')
    notes = coco.loadAnns(coco.getAnnIds())
    assert notes
    for note in notes:
        mask = coco.annToMask(note)
        y, x = np.nonzero(mask)
        box = [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
        assert note['bbox'] == box
        assert note['area'] == mask.sum() > 0


@pytest.mark.parametrize(('split', 'count'), [('train', 6), ('val', 4)])
def test_coco_files_match_the_images(data, split, count):
    coco = COCO(data / 'annotations' / f'{split}.json')
    assert len(coco.imgs) == count
    assert [c['name'] for c in coco.loadCats(coco.getCatIds())] == list(shapes.CLASSES)
    assert sorted(coco.anns) == list(range(1, len(coco.anns) + 1))
    for index, image in enumerate(coco.loadImgs(sorted(coco.imgs))):
        pixels = cv2.imread(str(data / split / image['file_name']))
        scene = shapes.render_scene(3, split, index)
        assert np.array_equal(pixels, scene.image)
        notes = coco.loadAnns(coco.getAnnIds(imgIds=image['id']))
        assert [note['category_id'] - 1 for note in notes] == scene.labels


def test_crops_show_every_object(data):
    for split in shapes.SPLITS:
        coco = COCO(data / 'annotations' / f'{split}.json')
        for number, name in enumerate(shapes.CLASSES):
            crops = list((data / 'crops' / split / name).glob('*.png'))
            assert len(crops) == len(coco.getAnnIds(catIds=number + 1))
            for crop in crops:
                side = shapes.CROP_SIZE
                assert cv2.imread(str(crop)).shape == (side, side, 3)


def test_train_and_val_share_no_image(data):
    train = {path.read_bytes() for path in (data / 'train').iterdir()}
    val = {path.read_bytes() for path in (data / 'val').iterdir()}
    assert len(train) == 6 and len(val) == 4
    assert not train & val


def test_processes_change_nothing(tool, data, tmp_path):
    assert tool.make(tmp_path / 'two', seed=3, train=6, val=4, processes=2)
    assert files(tmp_path / 'two') == files(data)


def test_made_data_are_kept_and_stale_ones_replaced(tool, tmp_path):
    out = tmp_path / 'data'
    assert tool.make(out, seed=0, train=1, val=1)
    assert not tool.make(out, seed=0, train=1, val=1)
    assert tool.make(out, seed=1, train=1, val=1)
    assert json.loads((out / 'demo.json').read_text())['seed'] == 1
    assert [path.name for path in tmp_path.iterdir()] == ['data']


def test_other_files_are_never_replaced(tool, tmp_path):
    (tmp_path / 'precious.txt').write_text('mine')
    with pytest.raises(FileExistsError):
        tool.make(tmp_path, seed=0, train=1, val=1)
    assert (tmp_path / 'precious.txt').read_text() == 'mine'
