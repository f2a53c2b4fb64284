"""What the server of ImageNet gets: its own numbers of classes, in its own order."""

from types import SimpleNamespace

import public_files
import pytest
import torch
from scipy.io import savemat

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.submit.imagenet import ImageNetServer, server_numbers

#: WordNet IDs in the order of ILSVRC2012_ID; the last one is no leaf.
WNIDS = ['n03', 'n01', 'n05', 'n02', 'n06', 'n04', 'n00']


@pytest.fixture
def devkit(tmp_path):
    """A folder like that of the development kit, with six classes."""
    public_files.write_devkit(tmp_path / 'kit', WNIDS[:-1], inner=WNIDS[-1:])
    return tmp_path / 'kit'


def dataset(names):
    class Images(SimpleNamespace):
        def __len__(self):
            return len(names)

        def get_data_info(self, index):
            return {'img_path': f'data/test/{names[index]}'}

    return Images()


def test_numbers(devkit):
    expected = [WNIDS.index(f'n0{i}') + 1 for i in range(1, 7)]
    assert server_numbers(str(devkit)) == expected
    assert server_numbers(str(devkit / 'data/meta.mat')) == expected


def test_lines(devkit, tmp_path):
    """In the order of the names, five numbers each, the likeliest first."""
    names = ['ILSVRC2012_test_00000002.JPEG', 'ILSVRC2012_test_00000001.JPEG']
    scores = [[0.1, 0.5, 0.2, 0.05, 0.1, 0.05], [0.3, 0.0, 0.4, 0.2, 0.06, 0.04]]
    samples = [
        {'pred_score': torch.tensor(s), 'img_path': f'elsewhere/{n}'}
        for s, n in zip(scores, names, strict=True)
    ]
    server = ImageNetServer(dataset(names), 'mine', str(devkit))
    (path,) = server.write(samples, tmp_path)
    assert path == tmp_path / 'mine.txt'
    lines = [list(map(int, x.split())) for x in path.read_text().splitlines()]
    assert [len(line) for line in lines] == [5, 5]
    numbers = server_numbers(str(devkit))
    assert lines[0] == [numbers[i] for i in (2, 0, 3, 4, 5)]
    assert lines[1][:2] == [numbers[1], numbers[2]]


def test_equal_scores_are_in_the_order_of_the_classes(devkit, tmp_path):
    server = ImageNetServer(dataset(['a.JPEG']), 'mine', str(devkit))
    scores = torch.tensor([0.2, 0.1, 0.2, 0.2, 0.1, 0.2])
    (path,) = server.write([{'pred_score': scores, 'img_path': 'a.JPEG'}], tmp_path)
    numbers = server_numbers(str(devkit))
    expected = [numbers[i] for i in (0, 2, 3, 5, 1)]
    assert list(map(int, path.read_text().split())) == expected


def test_mistakes(devkit, tmp_path):
    images = dataset(['a.JPEG', 'b.JPEG'])
    with pytest.raises(ConfigError, match='with --devkit'):
        ImageNetServer(images, 'mine', None)
    with pytest.raises(FileNotFoundError, match='no file .*gone'):
        server_numbers(str(tmp_path / 'gone'))
    (tmp_path / 'text.mat').write_text('hello')
    with pytest.raises(ConfigError, match='is no meta.mat of ImageNet'):
        server_numbers(str(tmp_path / 'text.mat'))
    savemat(tmp_path / 'other.mat', {'a': 1})
    with pytest.raises(ConfigError, match='is no meta.mat of ImageNet .*synsets'):
        server_numbers(str(tmp_path / 'other.mat'))
    server = ImageNetServer(images, 'mine', str(devkit))
    good = {'pred_score': torch.zeros(6)}
    for samples, message in (
        ([good], 'of 1 images, the test set has 2'),
        ([good, {'img_path': 'c.JPEG', **good}], "'c.JPEG' where .* 'b.JPEG'"),
        ([good, {}], 'or of no classifier'),
        ([good, {'pred_score': torch.zeros(3)}], 'knows 3 classes, ImageNet has 6'),
    ):
        with pytest.raises(ConfigError, match=message):
            server.write(samples, tmp_path)
    assert not (tmp_path / 'mine.txt').exists()
