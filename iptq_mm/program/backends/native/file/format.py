"""The layout of the file of a compiled program: ``docs/reference/iptq-file.md``.

``runtime/src/file/format.h`` has the same in C++; a test compares both.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

MAGIC = b'\x89IPTQ\r\n\x1a'
#: Raised whenever a field of the file or of a command changes.
VERSION = 4
HEADER_BYTES = 128
#: The checksum is that of everything from this byte on.
CHECKSUM_FROM = 32
ALIGNMENT = 64
#: Zeros after the constants: kernels read beyond the ends of buffers.
TAIL = 256
DIMENSIONS = 8

#: The highest byte of an address is one of these, the offset stands below it.
SECTION_SHIFT = 56
CONSTANTS, ARENA = 1, 2

_PORT = struct.Struct('<QqqqQqqqdq8qqqQQQ')
_START = struct.Struct('<8sIIQII')
_REST = struct.Struct('<QQIIQQQQQQQQQ')


def address(section: int, offset: int) -> int:
    """Returns an address as commands of a file have it."""
    return section << SECTION_SHIFT | offset


@dataclass
class PortRecord:
    """An input or output in the file; ``format.h`` says what the fields are."""

    name: int
    kind: int
    code_type: int
    zero_point: int
    codes: int
    integer_type: int
    low: int
    high: int
    scale: float
    shape: tuple[int, ...]
    marked: bool = False
    channels: int = 0
    order: int = 0
    look: int = 0
    restoring: int = 0

    def packed(self) -> bytes:
        """Returns its bytes."""
        return _PORT.pack(
            self.name,
            self.kind,
            self.code_type,
            self.zero_point,
            self.codes,
            self.integer_type,
            self.low,
            self.high,
            self.scale,
            len(self.shape),
            *self.shape,
            *[0] * (DIMENSIONS - len(self.shape)),
            self.marked,
            self.channels,
            self.order,
            self.look,
            self.restoring,
        )


@dataclass
class Parts:
    """What a file is put together from.

    Attributes:
        arena: Bytes that the program computes in.
        inputs: Records of the inputs.
        outputs: Records of the outputs.
        commands: Bytes of each command, with addresses of the file.
        texts: All texts, each with a zero byte at its end.
        constants: All constants.
    """

    arena: int
    inputs: list[PortRecord] = field(default_factory=list)
    outputs: list[PortRecord] = field(default_factory=list)
    commands: list[bytes] = field(default_factory=list)
    texts: bytes = b''
    constants: bytearray = field(default_factory=bytearray)


def assembled(parts: Parts) -> bytes:
    """Returns the whole file."""
    ports = b''.join(port.packed() for port in (*parts.inputs, *parts.outputs))
    commands = b''.join(parts.commands)
    ports_at = HEADER_BYTES
    commands_at = ports_at + len(ports)
    texts_at = commands_at + len(commands)
    constants_at = aligned(texts_at + len(parts.texts))
    size = constants_at + len(parts.constants) + TAIL
    rest = _REST.pack(
        parts.arena,
        ports_at,
        len(parts.inputs),
        len(parts.outputs),
        commands_at,
        len(commands),
        len(parts.commands),
        texts_at,
        len(parts.texts),
        constants_at,
        len(parts.constants),
        0,
        0,
    )
    body = b''.join([rest, ports, commands, parts.texts])
    body = body.ljust(constants_at - CHECKSUM_FROM, b'\0')
    body += bytes(parts.constants) + bytes(TAIL)
    start = _START.pack(MAGIC, VERSION, HEADER_BYTES, size, zlib.crc32(body), 0)
    return start + body


def aligned(offset: int) -> int:
    """Returns the next offset that vectors may begin at."""
    return -(-offset // ALIGNMENT) * ALIGNMENT
