"""Each process of a run notices within seconds when another one dies.

A process that is killed, or whose machine fails, says nothing, and the others would
wait in an exchange for as long as its time limit is. So each has a connection to the
first one, on which nothing is sent: the operating system closes it when its process
ends.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import threading
import time
from typing import Any

from mmengine import dist

#: Seconds that a process has, after another one died, to end by itself.
GRACE = 10.0
#: What a process says that ends as it should.
_BYE = b'bye'
_TOKEN = 16
#: Seconds for the connections at the beginning.
_PATIENCE = 60
#: Seconds without an answer after which the other machine is asked, between the
#: questions, and how many remain unanswered: half a minute in all.
_KEEP_ALIVE = {'TCP_KEEPIDLE': 10, 'TCP_KEEPINTVL': 5, 'TCP_KEEPCNT': 4}


class Watch:
    """Watches the other processes of the run from threads of its own.

    Args:
        advice: What to do when one has died, for the message.
    """

    def __init__(self, advice: str = '') -> None:
        self._advice = advice
        self._lock, self._left = threading.Lock(), False
        #: What happened, once another process has died.
        self.died = ''
        self._found = threading.Event()
        rank, ranks = dist.get_dist_info()
        self._name = (
            f'process {rank} of the run (pid {os.getpid()}, {socket.gethostname()})'
        )
        names: list[Any] = dist.all_gather_object(self._name)
        self._peers = _accepted(ranks) if rank == 0 else {0: _connected(rank)}
        for other, peer in self._peers.items():
            _keep_alive(peer)
            listener = threading.Thread(
                target=self._listen, args=(peer, names[other]), daemon=True
            )
            listener.start()

    def _listen(self, peer: socket.socket, name: str) -> None:
        """Wait until the connection ends; if without a goodbye, end the process."""
        said = b''
        try:
            while part := peer.recv(4096):
                said += part
        except OSError:  # also a machine that does not answer any more
            pass
        if said.endswith(_BYE):
            return
        with self._lock:
            if self._left or self.died:
                return
            self.died = said.decode(errors='replace') or f'{name} has died'
        self._found.set()
        print(f'error: {self.message()}', file=sys.stderr, flush=True)
        # The first process is the only one that all others see.
        self._say(self.died)
        time.sleep(GRACE)
        with self._lock:
            if not self._left:
                os._exit(1)

    def message(self, wait: float = 0.0) -> str:
        """What happened and what to do, if another process has died, or ``''``.

        Args:
            wait: Seconds in which it may be noticed.
        """
        self._found.wait(wait)
        return self.died and f'{self.died}; this one ends, too{self._advice}'

    def leave(self) -> None:
        """Say goodbye: from here on, nothing is watched."""
        with self._lock:
            self._left = True
        self._say(_BYE.decode())

    def fail(self, error: Exception) -> None:
        """Tell the others that this process ends with an error."""
        self._say(f'{self._name} failed: {type(error).__name__}: {error}')

    def _say(self, text: str) -> None:
        """Say something to all, for the last time."""
        for peer in self._peers.values():
            try:
                peer.sendall(text.encode())
                peer.shutdown(socket.SHUT_WR)
            except OSError:
                continue


def _accepted(ranks: int) -> dict[int, socket.socket]:
    """The connections of the first process, by rank."""
    token, peers = secrets.token_bytes(_TOKEN), dict[int, socket.socket]()
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    server = socket.create_server(('', 0), family=family, dualstack_ipv6=both)
    server.settimeout(_PATIENCE)
    dist.broadcast_object_list([(server.getsockname()[1], token)])
    with server:
        while len(peers) < ranks - 1:
            peer = server.accept()[0]
            peer.settimeout(_PATIENCE)
            # Others than the processes of this run do not know the token.
            if _exactly(peer, _TOKEN) == token:
                peers[int.from_bytes(_exactly(peer, 4), 'big')] = peer
                peer.settimeout(None)
            else:
                peer.close()
    return peers


def _connected(rank: int) -> socket.socket:
    """The connection of another process to the first one."""
    told: list[Any] = [None]
    dist.broadcast_object_list(told)
    port, token = told[0]
    host = os.environ.get('MASTER_ADDR', 'localhost')
    peer = socket.create_connection((host, port), timeout=_PATIENCE)
    peer.settimeout(None)
    peer.sendall(token + rank.to_bytes(4, 'big'))
    return peer


def _exactly(peer: socket.socket, count: int) -> bytes:
    found = b''
    while len(found) < count:
        part = peer.recv(count - len(found))
        if not part:
            return found
        found += part
    return found


def _keep_alive(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
        if hasattr(socket, name):
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
