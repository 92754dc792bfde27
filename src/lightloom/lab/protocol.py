"""What travels between a served chip and its client, and how both sides know that it arrived as it was sent.

Version 1 is three plain requests, `GET /v1/chip`, `POST /v1/program` and `POST /v1/measure`. In version 2 every request
to program or to measure carries who sends it, a number that only grows, and a checksum over all that matters of it;
the checksum of the answer covers that of the request. So a changed bit is seen on either side, an answer to an earlier
request is never taken for this one's, and a request that is sent again is answered from what was measured, not measured
twice. Who speaks version 2 says so in the answer to `GET /v1/chip`.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
from dataclasses import dataclass

import numpy as np
from torch import Tensor

API = 1
"""Version that every server answers."""
LATEST = 2
"""Newest version that this client and `lightloom.lab.server` speak."""
BINARY = "application/octet-stream"
SHAPE, PROGRAM = "X-Lightloom-Shape", "X-Lightloom-Program"
CLIENT, NUMBER, CHECKSUM = "X-Lightloom-Client", "X-Lightloom-Number", "X-Lightloom-Checksum"
MAX_BLOCKS = 1 << 20
MAX_BODY = 1 << 28
"""Largest body in bytes, in or out."""
REAL, COMPLEX = np.dtype("<f8"), np.dtype("<c16")
_LONGEST_NAME = 96


@dataclass(frozen=True)
class Request:
    """A numbered request."""

    path: str
    client: str
    """A key that no other client has, a space, and a name for people to read."""
    number: int
    body: bytes = b""
    shape: str = ""
    """Shape of the inputs of a measurement, as in the header; empty for other requests."""
    program: str = ""
    """What the chip has to be programmed to for a measurement: what the last program was answered with."""

    @property
    def checksum(self) -> str:
        """A checksum over everything that decides what is done."""
        text = (self.path, self.client, str(self.number), self.shape, self.program)
        return _checksum(*(part.encode() for part in text), self.body)

    @property
    def headers(self) -> dict[str, str]:
        """All of it that does not travel as path or body."""
        return {
            "Content-Type": BINARY,
            CLIENT: self.client,
            NUMBER: str(self.number),
            SHAPE: self.shape,
            PROGRAM: self.program,
            CHECKSUM: self.checksum,
        }


@dataclass(frozen=True)
class Reply:
    """The answer to a numbered request."""

    body: bytes
    status: int = 200
    shape: str = ""
    program: str = ""

    def checksum(self, request: str) -> str:
        """A checksum over the answer and the checksum of the request that it belongs to."""
        text = (request, str(self.status), self.shape, self.program)
        return _checksum(*(part.encode() for part in text), self.body)


def chip_checksum(body: bytes) -> str:
    """The checksum of the answer to `GET /v1/chip`, which belongs to no number."""
    return _checksum(b"chip", body)


def is_client(text: str) -> bool:
    """Whether a header says who sends: a key, then a name of printable ASCII."""
    key, space, name = text.partition(" ")
    return len(key) == 32 and key.isalnum() and bool(space) and is_name(name)


def is_name(text: str) -> bool:
    """Whether a name can stand in a header and in a message."""
    return 0 < len(text) <= _LONGEST_NAME and text.isascii() and text.isprintable() and text == text.strip()


def own_name() -> str:
    """User, machine and process, as other clients are told who holds a chip."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # an account without an entry
        user = "somebody"
    text = f"{user}@{socket.gethostname()}".encode("ascii", "replace").decode()
    return f"{''.join(c if c.isprintable() else '?' for c in text)[:60].strip()} (process {os.getpid()})"


def to_bytes(tensor: Tensor) -> bytes:
    """The elements, row by row, as little-endian float64 or pairs of them."""
    dtype = COMPLEX if tensor.is_complex() else REAL
    return tensor.detach().cpu().numpy().astype(dtype).tobytes()


def shape_text(shape: tuple[int, ...]) -> str:
    """The text of a shape in the header: `2,9,9`."""
    return ",".join(map(str, shape))


def _checksum(*parts: bytes) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little"))  # else "ab", "c" would be "a", "bc"
        total.update(part)
    return total.hexdigest()
