"""Where a mirror may have a public file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlparse

from .metafiles import file_name


def addresses(url: str, mirrors: Sequence[str]) -> Iterator[str]:
    """Where to look for a file, in this order.

    A mirror has a file under host and path of its public address, under the path alone
    (another host with the same folders), or in one folder with all others.

    Args:
        url: Its public address.
        mirrors: Addresses or folders. If there are any, the public address is not
            asked.
    """
    if not mirrors:
        yield url
    public = urlparse(url)
    name = file_name(url)
    for mirror in mirrors:
        base = (
            mirror if '://' in mirror else Path(mirror).expanduser().resolve().as_uri()
        )
        base = base.rstrip('/')
        for inside in (f'{public.netloc}{public.path}', public.path[1:], name):
            yield f'{base}/{inside}'
