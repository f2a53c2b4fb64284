"""A server of files on this machine, which can fail as real ones do."""

import hashlib
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class FileServer(ThreadingHTTPServer):
    """Serves what is in memory, with ranges and tags.

    Attributes:
        contents: Bytes by path; a number is an HTTP status.
        asked: Path and range of each request.
        breaks: How many bytes the next answers send before the connection ends.
        ranges: Whether it can send a part of a file.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), _Handler)
        self.contents, self.asked, self.breaks = {}, [], []
        self.ranges = True

    def url(self, path: str) -> str:
        """The address of a file."""
        return f'http://127.0.0.1:{self.server_port}/{path}'


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        wanted = self.headers.get('Range')
        self.server.asked.append((self.path[1:], wanted))
        content = self.server.contents.get(self.path[1:], 404)
        if isinstance(content, int):
            self.send_error(content)
            return
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        start = 0
        if wanted and self.server.ranges:
            if self.headers.get('If-Range') in (None, tag):
                start = int(wanted.removeprefix('bytes=').partition('-')[0])
            if start >= len(content):
                self.send_response(416)
                self.send_header('Content-Range', f'bytes */{len(content)}')
                self.send_header('Content-Length', '0')
                self.end_headers()
                return
        self.send_response(206 if start else 200)
        if start:
            last = len(content) - 1
            self.send_header('Content-Range', f'bytes {start}-{last}/{len(content)}')
        self.send_header('Content-Length', str(len(content) - start))
        self.send_header('ETag', tag)
        self.end_headers()
        breaks = self.server.breaks
        self.wfile.write(content[start:][: breaks.pop(0) if breaks else None])

    def log_message(self, *_):
        pass


@contextmanager
def serving():
    """A running server."""
    with FileServer() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
