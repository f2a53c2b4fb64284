"""Files arrive whole or not at all, in any number of attempts."""

import errno
import fcntl
import io
import json
import shutil
import socket
from collections import namedtuple

import pytest
import torch

from iptq_mm.engine.zoo import (
    ChecksumError,
    DownloadError,
    MissingError,
    NoSpaceError,
    UnreachableError,
)
from iptq_mm.engine.zoo import download as downloading
from iptq_mm.engine.zoo.download import check_content, download
from iptq_mm.engine.zoo.transfer import Source

CONTENT = bytes(range(200))
Usage = namedtuple('Usage', 'free')


def anything(path):
    """A check that every file passes."""


@pytest.fixture
def target(tmp_path):
    return tmp_path / 'new' / 'a.pth'


def only(target):
    """Whether the file is there, and nothing beside it."""
    return target.read_bytes() == CONTENT and list(target.parent.iterdir()) == [target]


def ranges(server):
    return [part for _, part in server.asked]


def test_whole(server, target):
    server.contents['a'] = CONTENT
    checked = []
    download(server.url('a'), target, lambda path: checked.append(path.read_bytes()))
    assert only(target) and checked == [CONTENT]


def test_goes_on_after_broken_connections(server, target):
    server.contents['a'], server.breaks = CONTENT, [40, 30]
    download(server.url('a'), target, anything)
    assert only(target)
    assert ranges(server) == [None, 'bytes=40-', 'bytes=70-']


def test_goes_on_after_an_earlier_call(server, target):
    server.contents['a'], server.breaks = CONTENT, [40] + [0] * downloading.ATTEMPTS
    with pytest.raises(DownloadError, match='40 of 200 .*the same command goes on'):
        download(server.url('a'), target, anything)
    assert not target.exists()
    assert target.with_name('a.pth.part').read_bytes() == CONTENT[:40]
    server.asked.clear()
    download(server.url('a'), target, anything)
    assert only(target) and ranges(server) == ['bytes=40-']


def part_of(target, url, content, version):
    target.parent.mkdir()
    target.with_name('a.pth.part').write_bytes(content)
    state = dict(url=url, version=version)
    target.with_name('a.pth.part.json').write_text(json.dumps(state))


@pytest.mark.parametrize('case', ['changed', 'address', 'no_ranges', 'too_long'])
def test_begins_anew_where_the_part_is_of_another_file(server, target, case):
    server.contents['a'] = CONTENT
    server.ranges = case != 'no_ranges'
    address = server.url('b' if case == 'address' else 'a')
    version = '' if case in ('no_ranges', 'too_long') else '"other"'
    part_of(target, address, b'x' * (300 if case == 'too_long' else 40), version)
    download(server.url('a'), target, anything)
    assert only(target)


def test_a_part_that_is_the_whole_file(server, target):
    server.contents['a'] = CONTENT
    with downloading.opened(server.url('a')) as source:
        version = source.version
    part_of(target, server.url('a'), CONTENT, version)
    server.asked.clear()
    download(server.url('a'), target, anything)
    assert only(target) and ranges(server) == ['bytes=200-']


def test_files_of_this_machine(tmp_path, target):
    (tmp_path / 'there.pth').write_bytes(CONTENT)
    address = (tmp_path / 'there.pth').as_uri()
    download(address, target, anything)
    assert only(target)
    with pytest.raises(MissingError, match='there is no file .*none'):
        download((tmp_path / 'none').as_uri(), target, anything)
    assert only(target)


def test_a_file_of_this_machine_goes_on(tmp_path, target):
    source = tmp_path / 'there.pth'
    source.write_bytes(CONTENT)
    state = source.stat()
    version = f'{state.st_mtime_ns}-{state.st_size}'
    part_of(target, source.as_uri(), b'y' * 40, version)
    download(source.as_uri(), target, anything)
    assert target.read_bytes() == b'y' * 40 + CONTENT[40:]


@pytest.mark.parametrize('status', [404, 410, 403])
def test_missing(server, target, status):
    server.contents['a'] = status
    with pytest.raises(MissingError, match=f'HTTP {status}'):
        download(server.url('a'), target, anything)
    assert list(target.parent.iterdir()) == []


def test_refused_and_busy(server, target):
    server.contents['a'] = 418
    with pytest.raises(DownloadError, match='HTTP 418'):
        download(server.url('a'), target, anything)
    assert len(server.asked) == 1
    server.contents['a'] = 503
    with pytest.raises(DownloadError, match='HTTP 503 .*after 5 attempts'):
        download(server.url('a'), target, anything)
    assert len(server.asked) == 1 + downloading.ATTEMPTS


def test_no_network(target, monkeypatch):
    def resolve(*_, **__):
        raise socket.gaierror(-3, 'Temporary failure in name resolution')

    monkeypatch.setattr(socket, 'getaddrinfo', resolve)
    monkeypatch.setenv('no_proxy', '*')
    with pytest.raises(UnreachableError, match='public.org gives no answer: .*resolut'):
        download('https://public.org/a.pth', target, anything)


def test_nobody_listens(target, server):
    address = server.url('a')
    server.shutdown()
    server.server_close()
    with pytest.raises(UnreachableError, match='gives no answer'):
        download(address, target, anything)


def test_no_address(target):
    with pytest.raises(DownloadError, match='no address of the kind file, http'):
        download('ftp://a/b', target, anything)


def test_no_space(server, target, monkeypatch):
    server.contents['a'] = CONTENT
    monkeypatch.setattr(downloading, '_SPARE', 0)
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: Usage(399))
    with pytest.raises(NoSpaceError, match='make room, or name another .* --dest'):
        download(server.url('a'), target, anything, also_needed=1)
    assert not target.exists()
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: Usage(400))
    download(server.url('a'), target, anything, also_needed=1)
    assert only(target)


def test_what_is_there_needs_no_space(server, target, monkeypatch):
    server.contents['a'], server.breaks = CONTENT, [150] + [0] * downloading.ATTEMPTS
    with pytest.raises(DownloadError):
        download(server.url('a'), target, anything)
    monkeypatch.setattr(downloading, '_SPARE', 0)
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: Usage(50))
    download(server.url('a'), target, anything)
    assert only(target)


def test_the_disk_gets_full_on_the_way():
    source = Source(io.BytesIO(CONTENT), 0, len(CONTENT), '')
    file = open('/dev/full', 'wb')  # noqa: SIM115 closing it would fail as well
    with pytest.raises(NoSpaceError, match='the disk is full: .*goes on after it'):
        downloading._copy(source, file, 'a')
    with pytest.raises(OSError) as said:
        file.close()
    assert said.value.errno == errno.ENOSPC


def test_no_folder(tmp_path, server):
    (tmp_path / 'file').touch()
    with pytest.raises(DownloadError, match='cannot be made .* --dest'):
        download(server.url('a'), tmp_path / 'file/a.pth', anything)


def test_one_process_at_a_time(server, target):
    server.contents['a'] = CONTENT
    target.parent.mkdir()
    with target.with_name('a.pth.part.json').open('w') as state:
        fcntl.flock(state, fcntl.LOCK_EX)
        with pytest.raises(DownloadError, match='another process is fetching a.pth'):
            download(server.url('a'), target, anything)
    download(server.url('a'), target, anything)
    assert only(target)


def test_a_file_that_fails_its_check_is_gone(server, target):
    server.contents['a'] = CONTENT

    def check(path):
        raise ChecksumError('no')

    with pytest.raises(ChecksumError):
        download(server.url('a'), target, check)
    assert list(target.parent.iterdir()) == []


def test_content(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save({'a': torch.zeros(2)}, path)
    digest = check_content(path, 'here', '')
    assert len(digest) == 64
    assert check_content(path, 'here', digest[:8].upper()) == digest
    with pytest.raises(ChecksumError, match=f'from here has the SHA-256 {digest}'):
        check_content(path, 'here', 'f' * 8 if digest[0] != 'f' else 'e' * 8)
    whole = path.read_bytes()
    for content, problem in [
        (b' <!DOCTYPE html>', 'what here gave is a web page'),
        (b'', 'is an empty file'),
        (whole[: len(whole) // 2], 'is incomplete'),
    ]:
        path.write_bytes(content)
        with pytest.raises(DownloadError, match=problem):
            check_content(path, 'here', '')
