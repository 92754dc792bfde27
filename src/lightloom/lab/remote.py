"""A chip on another machine: the same instrument, over HTTP.

The client needs the standard library alone, and keeps one connection open: a search makes some ten thousand short
requests, one after another. Tensors travel as raw little-endian float64 (complex as pairs) with their shape in a
header; text is JSON. Nothing that arrives is ever executed, and nothing is larger or shaped otherwise than asked for.
"""

from __future__ import annotations

import http.client
import logging
import math
import uuid
import weakref
from types import TracebackType
from typing import NoReturn, Self

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from lightloom.chips import MeshChip
from lightloom.common.errors import RequestError
from lightloom.lab.line import MAX_TEXT, Answer, Line, LostError, TransportError, json_object, reason_of
from lightloom.lab.mesh.instrument import BlockSettings, Instrument
from lightloom.lab.protocol import (
    API,
    BINARY,
    CHECKSUM,
    COMPLEX,
    LATEST,
    MAX_BLOCKS,
    MAX_BODY,
    PROGRAM,
    REAL,
    SHAPE,
    Reply,
    chip_checksum,
    is_name,
    own_name,
    shape_text,
    to_bytes,
)
from lightloom.lab.readings import ReadingError, checked
from lightloom.lab.sender import SENDINGS, ChangedError, Sender

__all__ = [
    "API",
    "BINARY",
    "PROGRAM",
    "SHAPE",
    "HeldError",
    "RemoteInstrument",
    "TransportError",
    "shape_text",
    "to_bytes",
]

_LOG = logging.getLogger("lightloom")


class HeldError(TransportError):
    """Another client holds the chip; the text says who, and for how long."""


class RemoteInstrument(Instrument):
    """An instrument that `lightloom serve` offers.

    Whoever programs it holds it: others are refused, with this client's name, until it is closed or rests for a minute.
    `calls` counts the calls that were asked for here, those that failed on the way included. A request that is sent
    again because its answer was lost counts once where the server knows its number, which then does not measure twice,
    and else each time.

    Args:
        url: Such as `http://127.0.0.1:8765`.
        token: What the server was started with; needed for any that listens beyond its own machine.
        timeout: How long one request may take, in s.
        name: What other clients are told of who holds the chip; user, machine and process unless given.

    Raises:
        RequestError: The address, the token or the name is wrong, or it is no server of this kind.
        TransportError: It cannot be reached.
    """

    def __init__(self, url: str, token: str | None = None, *, timeout: float = 30.0, name: str | None = None) -> None:
        if name is not None and not is_name(name):
            raise RequestError(f"A client's name is up to 96 characters of printable ASCII, not {name[:100]!r}.")
        self._line, self._url = Line(url, token, timeout), url
        self._sender = Sender(self._line, f"{uuid.uuid4().hex} {own_name() if name is None else name}")
        self._programmed: str | None = None
        try:
            chip, blocks, self._version = self._ask_design()
        except BaseException:
            self._line.close()
            raise
        super().__init__(chip, blocks)
        # also for a client that nobody closes: others need not wait until its hold runs out
        self._finalizer = weakref.finalize(self, self._sender.leave)

    def program(self, settings: BlockSettings) -> None:
        """Drive every device.

        Raises:
            HeldError: Another client holds the chip.
            TransportError: It did not come to that, or it is not known.
        """
        body = b"".join(to_bytes(tensor.double()) for tensor in settings)
        self._programmed = None  # of a request that fails it is not known whether it was done
        program = json_object(self._exchange("program", body, limit=MAX_TEXT).body).get("program")
        if not isinstance(program, str):
            raise TransportError(f"`{self._url}` answered `program` without the number of the program.")
        self._programmed = program

    def measure(self, inputs: Tensor) -> Tensor:
        """Send light through every block and read it.

        Raises:
            HeldError: Another client holds the chip.
            TransportError: Also where outputs belong to other settings than were programmed last, or are not finite.
        """
        if inputs.ndim not in (2, 3) or inputs.shape[-2] != self.size or inputs.is_complex():
            raise ValueError(
                f"inputs are {inputs.dtype} of shape {tuple(inputs.shape)}; expected real [blocks, {self.size}, m] or "
                f"[{self.size}, m]"
            )
        is_complex = self.chip.field == "complex"
        shape, dtype = (self.blocks, self.size, inputs.shape[-1]), COMPLEX if is_complex else REAL
        body, limit = to_bytes(inputs.double()), math.prod(shape) * dtype.itemsize
        if max(len(body), limit) > MAX_BODY:
            raise ValueError(f"{inputs.shape[-1]} input vectors are too many for one request; measure in parts")
        calls = -(-inputs.shape[-1] // self.size)
        reply = self._exchange("measure", body, shape=tuple(inputs.shape), limit=limit, calls=calls)
        if reply.shape != shape_text(shape) or len(reply.body) != limit:
            self._line.close()
            raise TransportError(
                f"`{self._url}` sent {len(reply.body)} bytes of shape {reply.shape!r}; expected {limit} bytes of "
                f"shape {shape_text(shape)!r}."
            )
        if reply.program != self._programmed:
            raise TransportError(
                f"`{self._url}` sent stale data: it measured program {reply.program!r}, and "
                f"{self._programmed!r} was the last from here. Program again, and let nobody else use the chip."
            )
        outputs = torch.from_numpy(np.frombuffer(reply.body, dtype).astype(dtype.newbyteorder("="))).view(shape)
        try:
            return checked(outputs, shape, is_complex=is_complex)
        except ReadingError as error:
            raise TransportError(f"`{self._url}` measured no numbers: {error}.") from error

    def close(self) -> None:
        """Let others have the chip and close the connection; the next request opens it again."""
        self._sender.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _ask_design(self) -> tuple[MeshChip, int, int]:
        """Chip, blocks, and the version that the server speaks."""
        for sending in range(SENDINGS):
            try:
                answer = self._line.ask("GET", "/v1/chip", None, {}, MAX_TEXT)
                if answer.status != http.client.OK:
                    self._refused(answer)
                return _design(answer, self._url)
            except ChangedError:
                self._line.close()
                if sending == SENDINGS - 1:
                    raise
        raise AssertionError  # the last sending has returned or raised

    def _exchange(self, action: str, body: bytes, *, shape: tuple[int, ...] = (), limit: int, calls: int = 0) -> Reply:
        """Have the server do something; its answer has at most `limit` bytes."""
        if self._version == API:
            return self._plainly(f"/v1/{action}", body, shape_text(shape), limit, calls)
        self.calls += calls
        program = (self._programmed or "") if action == "measure" else ""
        reply = self._sender.send(f"/v2/{action}", body, shape_text(shape), program, limit)
        if reply.status != http.client.OK:
            self._refused(Answer(reply.status, reply.body, http.client.HTTPMessage()))
        return reply

    def _plainly(self, path: str, body: bytes, shape: str, limit: int, calls: int) -> Reply:
        """Send a request as servers of version 1 know it; whatever is sent may be done, so each sending counts."""
        headers = {"Content-Type": BINARY, SHAPE: shape}
        reused = self._line.is_open
        self.calls += calls
        try:
            answer = self._line.ask("POST", path, body, headers, limit)
        except LostError:
            if not reused:
                raise
            # most likely the server let go of a connection that had rested, but it may also have done what it was asked
            self.calls += calls
            answer = self._line.ask("POST", path, body, headers, limit)
        if answer.status != http.client.OK:
            self._refused(answer)
        return Reply(answer.body, 200, answer.headers.get(SHAPE, ""), answer.headers.get(PROGRAM, ""))

    def _refused(self, answer: Answer) -> NoReturn:
        status, reason = answer.status, reason_of(answer.body)
        if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
            raise RequestError(f"`{self._url}` refuses this token: give the one that the server was started with.")
        if status == http.client.LOCKED:
            raise HeldError(f"`{self._url}` is in use: {reason}")
        if status == http.client.CONFLICT:
            raise TransportError(f"`{self._url}` refuses the request as stale: {reason}")
        if 400 <= status < 500 and status != http.client.REQUEST_TIMEOUT:
            raise RequestError(f"`{self._url}` refuses the request ({status}): {reason!r}.")
        raise TransportError(f"`{self._url}` failed ({status}): {reason!r}.")


def _design(answer: Answer, url: str) -> tuple[MeshChip, int, int]:
    """Chip, blocks and version, from what the server says it has."""
    checksum = answer.headers.get(CHECKSUM)
    if checksum is not None and checksum != chip_checksum(answer.body):
        raise ChangedError(f"The description of the chip at `{url}` was changed on the way: its checksum differs.")
    description = json_object(answer.body)
    if description.get("api") != API:
        raise RequestError(
            f"`{url}` speaks version {description.get('api')!r} of the protocol, this client {API} to {LATEST}."
        )
    latest = description.get("latest", API)
    if type(latest) is not int or latest < API or (latest > API and checksum is None):
        raise ChangedError(f"`{url}` says that it speaks version {latest!r}, but sent no checksum that fits.")
    if latest == API:
        _LOG.warning("%s sends no checksums: numbers that change on the way are not noticed. Update its server.", url)
    blocks = description.get("blocks")
    if type(blocks) is not int or not 1 <= blocks <= MAX_BLOCKS:
        raise RequestError(f"`{url}` says that it has {blocks!r} blocks; expected 1 to {MAX_BLOCKS}.")
    try:
        return MeshChip.model_validate(description.get("chip")), blocks, min(latest, LATEST)
    except ValidationError as error:
        raise RequestError(f"`{url}` describes no chip that this version knows: {error}") from error
