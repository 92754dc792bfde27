"""A chip on another machine: the same instrument, over HTTP.

The client needs the standard library alone, and keeps one connection open: a search makes some ten thousand short
requests, one after another. Tensors travel as raw little-endian float64 (complex as pairs) with their shape in a
header; text is JSON. Nothing that arrives is ever executed, and nothing is larger or shaped otherwise than asked for.
"""

from __future__ import annotations

import http.client
import json
import math
import ssl
from types import TracebackType
from typing import Any, NoReturn, Self
from urllib.parse import urlsplit

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from lightloom.chips import MeshChip
from lightloom.common.errors import RequestError, WorkError
from lightloom.lab.instrument import Instrument, Settings

API = 1
"""Version of the protocol that this client and `lightloom.serve` speak."""
BINARY = "application/octet-stream"
SHAPE, PROGRAM = "X-Lightloom-Shape", "X-Lightloom-Program"
MAX_BLOCKS = 1 << 20
_MAX_TEXT = 1 << 16
_REAL, _COMPLEX = np.dtype("<f8"), np.dtype("<c16")


class TransportError(WorkError):
    """What came back cannot be used, but asking again may help: a time-out, a lost connection, stale data."""


class RemoteInstrument(Instrument):
    """An instrument that `lightloom serve` offers.

    `calls` counts the calls that were asked for here, those that failed on the way included.

    Args:
        url: Such as `http://127.0.0.1:8765`.
        token: What the server was started with; needed for any that listens beyond its own machine.
        timeout: How long one request may take, in s.

    Raises:
        RequestError: The address or the token is wrong, or it is no server of this kind.
        TransportError: It cannot be reached.
    """

    def __init__(self, url: str, token: str | None = None, *, timeout: float = 30.0) -> None:
        self._connection = _connection(url, timeout)
        self._url = url
        self._headers = {} if token is None else {"Authorization": f"Bearer {_checked_token(token)}"}
        self._programmed: str | None = None
        try:
            chip, blocks = _design(self._exchange("GET", "/v1/chip", limit=_MAX_TEXT)[0], url)
        except BaseException:
            self.close()
            raise
        super().__init__(chip, blocks)

    def program(self, settings: Settings) -> None:
        """Drive every device."""
        body = b"".join(to_bytes(tensor.double()) for tensor in settings)
        answer, _ = self._exchange("POST", "/v1/program", body, limit=_MAX_TEXT)
        program = _json(answer).get("program")
        if not isinstance(program, str):
            raise TransportError(f"`{self._url}` answered `/v1/program` without the number of the program.")
        self._programmed = program

    def measure(self, inputs: Tensor) -> Tensor:
        """Send light through every block and read it.

        Raises:
            TransportError: Also where the outputs belong to other settings than were programmed last.
        """
        if inputs.ndim not in (2, 3) or inputs.shape[-2] != self.size or inputs.is_complex():
            raise ValueError(
                f"inputs are {inputs.dtype} of shape {tuple(inputs.shape)}; expected real [blocks, {self.size}, m] or "
                f"[{self.size}, m]"
            )
        self.calls += -(-inputs.shape[-1] // self.size)
        shape = (self.blocks, self.size, inputs.shape[-1])
        dtype = _COMPLEX if self.chip.field == "complex" else _REAL
        body, limit = to_bytes(inputs.double()), math.prod(shape) * dtype.itemsize
        answer, headers = self._exchange("POST", "/v1/measure", body, shape=tuple(inputs.shape), limit=limit)
        if headers.get(SHAPE) != shape_text(shape) or len(answer) != limit:
            raise TransportError(
                f"`{self._url}` sent {len(answer)} bytes of shape {headers.get(SHAPE)!r}; expected {limit} bytes of "
                f"shape {shape_text(shape)!r}."
            )
        if headers.get(PROGRAM) != self._programmed:
            raise TransportError(
                f"`{self._url}` sent stale data: it measured program {headers.get(PROGRAM)!r}, and "
                f"{self._programmed!r} was the last from here. Program again, and let nobody else use the chip."
            )
        return torch.from_numpy(np.frombuffer(answer, dtype).astype(dtype.newbyteorder("="))).view(shape)

    def close(self) -> None:
        """Close the connection; the next request opens it again."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _exchange(
        self, verb: str, path: str, body: bytes | None = None, *, shape: tuple[int, ...] = (), limit: int
    ) -> tuple[bytes, http.client.HTTPMessage]:
        """One request; the body of the answer, at most `limit` bytes, and its headers."""
        headers = dict(self._headers)
        if body is not None:
            headers |= {"Content-Type": BINARY, SHAPE: shape_text(shape)}
        try:
            response = self._send(verb, path, body, headers)
            answer = response.read(max(limit, _MAX_TEXT) + 1)
            if not response.isclosed():
                self.close()  # more than was asked for: what remains must not be taken for the next answer
        except TimeoutError as error:
            self.close()
            raise TransportError(f"`{self._url}` did not answer within {self._connection.timeout:g} s.") from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            reason = str(error) or type(error).__name__
            raise TransportError(f"The connection to `{self._url}` failed: {reason}. Is the server running?") from error
        if response.status != http.client.OK:
            self._refused(response.status, answer)
        if len(answer) > limit:
            raise TransportError(f"`{self._url}` sent more than the {limit} bytes that `{path}` may answer.")
        return answer, response.headers

    def _send(self, verb: str, path: str, body: bytes | None, headers: dict[str, str]) -> http.client.HTTPResponse:
        reused = self._connection.sock is not None
        try:
            self._connection.request(verb, path, body, headers)
            return self._connection.getresponse()
        except (ConnectionResetError, BrokenPipeError):
            if not reused:
                raise
            # the server lets go of a connection that rests a while: it has not seen this request
            self.close()
            self._connection.request(verb, path, body, headers)
            return self._connection.getresponse()

    def _refused(self, status: int, answer: bytes) -> NoReturn:
        try:
            reason = str(_json(answer).get("detail"))[:500]
        except TransportError:
            reason = ""
        if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
            raise RequestError(f"`{self._url}` refuses this token: give the one that the server was started with.")
        if 400 <= status < 500 and status != http.client.REQUEST_TIMEOUT:
            raise RequestError(f"`{self._url}` refuses the request ({status}): {reason!r}.")
        raise TransportError(f"`{self._url}` failed ({status}): {reason!r}.")


def to_bytes(tensor: Tensor) -> bytes:
    """The elements, row by row, as little-endian float64 or pairs of them."""
    dtype = _COMPLEX if tensor.is_complex() else _REAL
    return tensor.detach().cpu().numpy().astype(dtype).tobytes()


def shape_text(shape: tuple[int, ...]) -> str:
    """As it stands in the header: `2,9,9`."""
    return ",".join(map(str, shape))


def _connection(url: str, timeout: float) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    plain = not (parts.path.strip("/") or parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme not in ("http", "https") or not parts.hostname or port == -1 or not plain:
        raise RequestError(f"`{url}` is no address of an instrument: give one such as `http://127.0.0.1:8765`.")
    if not timeout > 0:
        raise RequestError(f"A time-out of {timeout} s leaves no time to answer: give a positive one.")
    if parts.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(parts.hostname, port, timeout=timeout, context=context)
    return http.client.HTTPConnection(parts.hostname, port, timeout=timeout)


def _checked_token(token: str) -> str:
    if not (token.isascii() and token.isprintable() and token and " " not in token):
        raise RequestError("A token is printable ASCII without spaces.")
    return token


def _json(answer: bytes) -> dict[str, Any]:
    try:
        value = json.loads(answer)
    except ValueError as error:
        raise TransportError("The instrument's answer is not JSON.") from error
    if not isinstance(value, dict):
        raise TransportError("The instrument's answer is JSON, but no object.")
    return value


def _design(answer: bytes, url: str) -> tuple[MeshChip, int]:
    """Chip and blocks, from what the server says it has."""
    told = _json(answer)
    if told.get("api") != API:
        raise RequestError(f"`{url}` speaks version {told.get('api')!r} of the protocol, this client {API}.")
    blocks = told.get("blocks")
    if type(blocks) is not int or not 1 <= blocks <= MAX_BLOCKS:
        raise RequestError(f"`{url}` says that it has {blocks!r} blocks; expected 1 to {MAX_BLOCKS}.")
    try:
        return MeshChip.model_validate(told.get("chip")), blocks
    except ValidationError as error:
        raise RequestError(f"`{url}` describes no chip that this version knows: {error}") from error
