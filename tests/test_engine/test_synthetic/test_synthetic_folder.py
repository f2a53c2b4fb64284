import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset

from iptq_mm.engine.synthetic.folder import LIST, ImageFolder

IMAGES = torch.randint(
    0, 256, (5, 3, 8, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


def read(root):
    """The images and classes that a data set sees."""
    data = BaseDataset(data_root=str(root), ann_file=LIST)
    images = [cv2.imread(item['img_path']).transpose(2, 0, 1) for item in data]
    return np.array(images), [item.get('gt_label') for item in data]


def test_what_is_added_is_read_without_loss(tmp_path):
    folder = ImageFolder(tmp_path / 'a/b')
    assert folder.open(seed=1) == 0
    folder.add(IMAGES[:3], [7, 8, 9])
    folder.add(IMAGES[3:], [0, 1])
    images, labels = read(folder.path)
    assert np.array_equal(images, IMAGES.numpy()) and labels == [7, 8, 9, 0, 1]
    names = {path.name for path in folder.path.iterdir()}
    assert names == {LIST, *(f'0000{i}.png' for i in range(5))}


def test_without_classes(tmp_path):
    folder = ImageFolder(tmp_path)
    folder.open()
    folder.add(IMAGES[:2])
    assert read(tmp_path)[1] == [None, None]


def test_the_same_way_goes_on_where_it_was(tmp_path):
    folder = ImageFolder(tmp_path)
    folder.open(seed=1, size=[8, 12])
    folder.add(IMAGES[:2])
    again = ImageFolder(tmp_path)
    assert again.open(seed=1, size=[8, 12]) == 2
    again.add(IMAGES[2:])
    assert np.array_equal(read(tmp_path)[0], IMAGES.numpy())


def test_another_way_starts_anew(tmp_path):
    ImageFolder(tmp_path).open(seed=1)
    folder = ImageFolder(tmp_path)
    assert folder.open(seed=1) == 0
    folder.add(IMAGES)
    assert ImageFolder(tmp_path).open(seed=2) == 0
    assert [path.name for path in tmp_path.iterdir()] == [LIST]


def test_an_image_that_was_not_listed_is_written_again(tmp_path, monkeypatch):
    folder = ImageFolder(tmp_path)
    folder.open(seed=1)
    monkeypatch.setattr(folder, '_write_list', lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        folder.add(IMAGES[:1])
    again = ImageFolder(tmp_path)
    assert again.open(seed=1) == 0
    again.add(IMAGES[1:2])
    assert np.array_equal(read(tmp_path)[0], IMAGES[1:2].numpy())


@pytest.mark.parametrize(
    'content', ['', '[]', '{}', json.dumps({'metainfo': {}, 'data_list': []})]
)
def test_folders_of_others(tmp_path, content):
    (tmp_path / LIST).write_text(content)
    with pytest.raises(FileExistsError, match='holds something other'):
        ImageFolder(tmp_path)
    assert (tmp_path / LIST).read_text() == content


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(FileExistsError, match='holds something other'):
        ImageFolder(tmp_path / 'file')
