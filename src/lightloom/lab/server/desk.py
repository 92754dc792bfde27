"""The instrument behind one lock: who holds it, what it was last programmed to, and what was last answered."""

from __future__ import annotations

import json
import math
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from lightloom.common.errors import WorkError
from lightloom.lab.mesh.instrument import BlockSettings, Instrument
from lightloom.lab.protocol import MAX_BODY, Reply, Request, shape_text, to_bytes
from lightloom.lab.readings import checked

HOLD = 60.0
"""How long a client that says nothing still holds the chip, in s."""
_REMEMBERED = 1024  # clients whose last number is known


class Refusal(Exception):
    """A request that is not done.

    Args:
        status: Of HTTP.
        reason: What the client is told.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason

    @property
    def reply(self) -> Reply:
        """The reply to the client."""
        return Reply(json.dumps({"detail": self.reason}).encode(), self.status)


@dataclass
class _Holder:
    """Who programmed the chip last."""

    client: str
    """Key and name; empty for one that gave none, which holds nothing."""
    at: str
    """Time at which the chip was programmed last, as people read it."""
    heard: float
    """Time of the last request on the monotonic clock, in s."""
    holds: bool
    """Whether others have to wait."""

    @property
    def name(self) -> str:
        return self.client.partition(" ")[2] or "a client without a name"


class Desk:
    """Does what clients ask for, one request after the other.

    Args:
        instrument: What is served.
        hold: How long a client that says nothing still holds it, in s.
    """

    def __init__(self, instrument: Instrument, hold: float = HOLD) -> None:
        self._instrument, self._hold = instrument, hold
        self._lock = Lock()
        self._start = secrets.token_hex(8)  # a server that was started again must not pass for the same one
        self._programs = 0
        self._holder: _Holder | None = None
        self._numbers: OrderedDict[str, int] = OrderedDict()
        self._latest: tuple[str, Reply] | None = None  # checksum of the last numbered request, and its answer
        n, k = instrument.shifters, instrument.size
        self._shapes = tuple((instrument.blocks, width) for width in (n, n, k))
        self.settings_bytes = 8 * sum(map(math.prod, self._shapes))

    def answer(self, request: Request) -> Reply:
        """Do a numbered request once, however often it comes."""
        with self._lock:
            try:
                if self._latest is not None and self._latest[0] == request.checksum:
                    return self._latest[1]
                self._admit(request.client)
                self._count(request)
                try:
                    reply = self._do(request)
                except Refusal as refusal:
                    reply = refusal.reply
                self._latest = (request.checksum, reply)
                return reply
            except Refusal as refusal:
                return refusal.reply

    def program(self, body: bytes) -> str:
        """Program for a client without numbers; the number of the program."""
        with self._lock:
            self._admit("")
            return self._program(body, "")

    def measure(self, body: bytes, shape: str) -> Reply:
        """Measure for a client without numbers.

        Args:
            body: Inputs as raw little-endian numbers.
            shape: Their shape, as the header has it.
        """
        with self._lock:
            self._admit("")
            return self._measure(body, shape)

    def _do(self, request: Request) -> Reply:
        action = request.path.rpartition("/")[2]
        if action == "program":
            return Reply(json.dumps({"program": self._program(request.body, request.client)}).encode())
        holder = self._holder
        if action == "release":
            if holder is not None and holder.client == request.client:
                holder.holds = False
            return Reply(b"{}")
        if request.program != self._number() or holder is None:
            by = "nobody has programmed it" if holder is None else f"{holder.name} programmed it at {holder.at}"
            raise Refusal(409, f"the chip is not at what was programmed from here, {by}. Program again.")
        if holder.client == request.client:
            holder.heard, holder.holds = time.monotonic(), True
        return self._measure(request.body, request.shape)

    def _admit(self, client: str) -> None:
        """Refuse whoever comes while somebody else holds the chip."""
        holder = self._holder
        if holder is None or not holder.holds or holder.client == client:
            return
        silent = time.monotonic() - holder.heard
        if silent < self._hold:
            raise Refusal(
                423,
                f"{holder.name} holds the chip: programmed at {holder.at}, last heard of {silent:.0f} s ago. It is "
                f"free as soon as that client is closed, or has been silent for {self._hold:g} s.",
            )

    def _count(self, request: Request) -> None:
        """Numbers of a client only grow: what comes late is not done."""
        last = self._numbers.get(request.client, 0)
        if request.number <= last:
            raise Refusal(409, f"request {request.number} came after request {last}, and nothing was done for it.")
        self._numbers[request.client] = request.number
        self._numbers.move_to_end(request.client)
        if len(self._numbers) > _REMEMBERED:
            self._numbers.popitem(last=False)

    def _program(self, body: bytes, client: str) -> str:
        if len(body) != self.settings_bytes:
            raise Refusal(422, f"the body has {len(body)} bytes; settings of these blocks have {self.settings_bytes}")
        values, start, parts = _tensor(body), 0, []
        for shape in self._shapes:
            parts.append(values[start : start + math.prod(shape)].view(shape))
            start += math.prod(shape)
        with _Faults():
            self._instrument.program(BlockSettings(*parts))
        self._programs += 1
        now = datetime.now(UTC).strftime("%H:%M:%S UTC")
        self._holder = _Holder(client, now, time.monotonic(), bool(client))
        return self._number()

    def _measure(self, body: bytes, shape_given: str) -> Reply:
        shape = self._input_shape(shape_given)
        if len(body) != 8 * math.prod(shape):
            raise Refusal(422, f"the body has {len(body)} bytes; inputs of shape {shape} have {8 * math.prod(shape)}")
        inputs = _tensor(body).view(shape)
        instrument = self._instrument
        expected = (instrument.blocks, instrument.size, shape[-1])
        with _Faults():
            outputs = checked(instrument.measure(inputs), expected, is_complex=instrument.chip.field == "complex")
        return Reply(to_bytes(outputs), 200, shape_text(expected), self._number())

    def _input_shape(self, header: str) -> tuple[int, ...]:
        blocks, size = self._instrument.blocks, self._instrument.size
        numbers = header.split(",") if len(header) < 64 else []
        shape = tuple(int(number) for number in numbers if number.isascii() and number.isdigit())
        fits = shape[:-1] in ((size,), (blocks, size)) and len(shape) == len(numbers) and shape[-1] >= 1
        if not fits or 16 * blocks * size * shape[-1] > MAX_BODY:
            raise Refusal(
                422, f"inputs have shape {header[:64]!r}; expected {blocks},{size},m or {size},m, m not too large"
            )
        return shape

    def _number(self) -> str:
        return f"{self._start}-{self._programs}"


class _Faults:
    """Tells clients of what the instrument refuses or could not do."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, at: object) -> None:
        if isinstance(error, (WorkError, OSError)):
            raise Refusal(502, f"the instrument failed: {error}") from error
        if isinstance(error, ValueError):
            raise Refusal(422, str(error)) from error


def _tensor(body: bytes) -> Tensor:
    """Finite float64 values [n]."""
    values = torch.from_numpy(np.frombuffer(body, "<f8").astype(np.float64))
    if not torch.isfinite(values).all():
        raise Refusal(422, "the body holds NaN or Inf; an instrument takes finite values")
    return values
