"""Bytes of a file from an address, beginning where an earlier transfer ended."""

from __future__ import annotations

import http.client
import io
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

from ...calibration import ConfigError

#: Seconds without a byte after which a connection counts as broken.
TIMEOUT = 60

_GONE = (403, 404, 410)
#: A connection that ends early, or a server that cannot answer for now.
_BUSY = (408, 425, 429, 500, 502, 503, 504)


class DownloadError(ConfigError):
    """A file could not be fetched."""


class MissingError(DownloadError):
    """There is no such file at an address."""


class UnreachableError(DownloadError):
    """Nobody answers at an address."""


class BrokenOffError(DownloadError):
    """A transfer ended early; another one can go on where it was."""


@dataclass(frozen=True)
class Source:
    """An open file at an address.

    Attributes:
        stream: What is left of it.
        start: How many bytes of it are before the stream.
        size: Bytes of the whole file; None if the server does not say.
        version: What changes with the content, as far as the server says; or empty.
    """

    stream: io.BufferedIOBase
    start: int
    size: int | None
    version: str


@contextmanager
def opened(url: str, start: int = 0, version: str = '') -> Iterator[Source]:
    """Open a file at an address (``http``, ``https`` or ``file``).

    Args:
        url: The address.
        start: From which byte, if the server can.
        version: That of the file which these bytes belong to. If it has changed, the
            file is opened from its beginning.

    Raises:
        DownloadError: If it cannot be opened; the class says why.
    """
    scheme = urlparse(url).scheme
    if scheme == 'file':
        with _local(url, start, version) as source:
            yield source
    elif scheme in ('http', 'https'):
        with _remote(url, start, version) as source:
            yield source
    else:
        raise DownloadError(f'{url} is no address of the kind file, http or https')


@contextmanager
def _local(url: str, start: int, version: str) -> Iterator[Source]:
    path = Path(urllib.request.url2pathname(urlparse(url).path))
    if not path.is_file():
        raise MissingError(f'there is no file {path}')
    try:
        stream = path.open('rb')
    except OSError as error:
        raise DownloadError(f'{path} cannot be read: {error.strerror}') from error
    with stream:
        state = path.stat()
        now = f'{state.st_mtime_ns}-{state.st_size}'
        start = start if version == now and start <= state.st_size else 0
        stream.seek(start)
        yield Source(stream, start, state.st_size, now)


@contextmanager
def _remote(url: str, start: int, version: str) -> Iterator[Source]:
    try:
        answer = _request(url, start, version)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not start:
            raise _refusal(url, error) from error
        if version and error.headers.get('Content-Range') == f'bytes */{start}':
            # These bytes are the whole file.
            yield Source(io.BytesIO(), start, start, version)
            return
        with opened(url) as source:
            yield source
        return
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, 'reason', None) or error
        raise UnreachableError(
            f'{urlparse(url).netloc} gives no answer: {reason}'
        ) from (error)
    with answer:
        head = answer.headers
        length = head.get('Content-Length')
        size = int(length) if length is not None else None
        begins = 0
        if answer.status == 206:
            found = re.match(r'bytes (\d+)-\d+/(\d+)', head.get('Content-Range') or '')
            if not found or int(found[1]) != start:
                raise DownloadError(
                    f'{url}: the server sends other bytes than asked for'
                )
            begins, size = start, int(found[2])
        tag = head.get('ETag') or ''
        if not tag or tag.startswith('W/'):  # a weak one does not speak of bytes
            tag = head.get('Last-Modified') or ''
        yield Source(answer, begins, size, tag)


def _request(url: str, start: int, version: str) -> http.client.HTTPResponse:
    headers = {'User-Agent': 'iptq_mm', 'Accept-Encoding': 'identity'}
    if start:
        headers['Range'] = f'bytes={start}-'
        if version:
            headers['If-Range'] = version
    request = urllib.request.Request(url, headers=headers)
    return urllib.request.urlopen(request, timeout=TIMEOUT)


def _refusal(url: str, error: urllib.error.HTTPError) -> DownloadError:
    said = f'{url}: HTTP {error.code} {error.reason}'
    if error.code in _GONE:
        return MissingError(said)
    return BrokenOffError(said) if error.code in _BUSY else DownloadError(said)
