"""A simulated specimen offered over HTTP, as a chip on a bench would be.

* `GET /v1/chip`: the design and how many blocks there are; never the devices' errors, nor the seeds they came from.
* `POST /v1/program`: U's phases, V's phases and sigma of all blocks, one after another, raw little-endian float64.
* `POST /v1/measure`: inputs of the shape that `X-Lightloom-Shape` gives; outputs in the same form, and the number of
  the program that they belong to.

Only the machine itself is served unless there is a token. Bodies are bounded, their sizes exact, their values finite.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import math
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import torch
from torch import Tensor

from lightloom.chips import MeshChip
from lightloom.common.errors import RequestError, WorkError
from lightloom.lab.instrument import Instrument, Settings, specimen_instrument
from lightloom.lab.remote import API, BINARY, MAX_BLOCKS, PROGRAM, SHAPE, shape_text, to_bytes

try:
    import uvicorn
    from fastapi import Depends, FastAPI, HTTPException, Request, Response
    from starlette.concurrency import run_in_threadpool
except ImportError as error:
    raise RequestError("Serving needs the extra `serve`: run `pip install 'lightloom[serve]'`.") from error

MAX_BODY = 1 << 28
"""Largest body in bytes, in or out."""
_BODY_TIMEOUT = 30.0  # s, to receive one body
_REST = 600  # s, how long a connection may rest between two requests
_SHORTEST_TOKEN = 16


def serve(
    chip: MeshChip,
    blocks: int,
    specimen: int = 0,
    readout_std: float = 0.0,
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    token: str | None = None,
    seed: int = 0,
) -> None:
    """Offer a simulated specimen until interrupted.

    Args:
        chip: The design.
        blocks: Blocks measured side by side.
        specimen: Which manufactured chip.
        readout_std: Readout noise, as of `SimulatedInstrument`.
        host: Address to listen at; only the machine itself unless given.
        port: Port to listen at; 0 takes a free one.
        token: What clients must send; needed for any other host.
        seed: Of the readout noise.

    Raises:
        RequestError: Something is out of range, or the host is not this machine and there is no token.
        WorkError: The address is taken.
    """
    check_address(host, token)
    if not 1 <= blocks <= MAX_BLOCKS:
        raise RequestError(f"There are {blocks} blocks to serve; expected 1 to {MAX_BLOCKS}.")
    instrument = specimen_instrument(chip, blocks, specimen=specimen, readout_std=readout_std, seed=seed)
    with listen(host, port) as listener, suppress(KeyboardInterrupt):
        config = uvicorn.Config(
            app(instrument, token), log_level="warning", server_header=False, timeout_keep_alive=_REST
        )
        uvicorn.Server(config).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A listening socket whose answers leave at once.

    Raises:
        WorkError: The address is taken, or is none of this machine's.
    """
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        raise WorkError(f"Cannot listen at `{host}` port {port}: {error}. Choose another address or port.") from error
    # every connection inherits it; without, head and body of an answer wait 40 ms for each other
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def check_address(host: str, token: str | None) -> None:
    """Refuse to listen beyond this machine without a token of some length.

    Raises:
        RequestError: As it says.
    """
    if token is not None and not (token.isascii() and token.isprintable() and token and " " not in token):
        raise RequestError("A token is printable ASCII without spaces.")
    if is_loopback(host) or (token is not None and len(token) >= _SHORTEST_TOKEN):
        return
    raise RequestError(
        f"`{host}` can be reached from other machines: give a token of at least {_SHORTEST_TOKEN} characters, "
        "or listen at `127.0.0.1`."
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def app(instrument: Instrument, token: str | None = None) -> FastAPI:
    """The web application that offers `instrument`; without a token it answers to loopback names alone."""
    bench = _Bench(instrument)

    def admit(request: Request) -> None:
        given = request.headers.get("authorization", "")
        if token is not None and not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            raise HTTPException(401, "This instrument needs its token: send `Authorization: Bearer TOKEN`.")
        # a web page whose name is made to resolve to this machine must not get through
        if token is None and not is_loopback(_host_name(request)):
            raise HTTPException(403, "Without a token this instrument is reached by a loopback address alone.")

    async def work(request: Request, largest: int, do: Callable[[bytes], Any]) -> Any:
        if request.headers.get("content-type") != BINARY:
            raise HTTPException(415, f"The body is `{BINARY}`.")
        try:
            async with asyncio.timeout(_BODY_TIMEOUT):
                body = await _read(request, largest)
            return await run_in_threadpool(do, body)
        except TimeoutError as error:
            raise HTTPException(408, f"The body did not arrive within {_BODY_TIMEOUT:g} s.") from error
        except _TooLarge as error:
            raise HTTPException(413, str(error)) from error
        except ValueError as error:
            raise HTTPException(422, str(error)) from error

    # no pages that describe the interface: the chip is all that is served
    served = FastAPI(title="Lightloom", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(admit)])

    @served.get("/v1/chip")
    def chip() -> dict[str, Any]:
        design = instrument.chip.model_dump(mode="json")
        return {"api": API, "blocks": instrument.blocks, "chip": design, "calls": instrument.calls}

    @served.post("/v1/program")
    async def program(request: Request) -> dict[str, str]:
        return {"program": await work(request, bench.settings_bytes, bench.program)}

    @served.post("/v1/measure")
    async def measure(request: Request) -> Response:
        shape = request.headers.get(SHAPE, "")
        outputs, number = await work(request, MAX_BODY, lambda body: bench.measure(body, shape))
        headers = {SHAPE: shape_text(tuple(outputs.shape)), PROGRAM: number}
        return Response(to_bytes(outputs), media_type=BINARY, headers=headers)

    return served


class _TooLarge(ValueError):
    """A body over its limit."""


def _host_name(request: Request) -> str:
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


async def _read(request: Request, largest: int) -> bytes:
    """The body, at most `largest` bytes, whatever the client says of its length."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > largest:
            raise _TooLarge(f"The body is longer than {largest} bytes.")
    return bytes(body)


class _Bench:
    """The instrument behind one lock, and the number of what is programmed."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._lock = Lock()
        self._start = secrets.token_hex(8)  # a server that was started again must not pass for the same one
        self._programs = 0
        n, k = instrument.shifters, instrument.size
        self._shapes = tuple((instrument.blocks, width) for width in (n, n, k))
        self.settings_bytes = 8 * sum(map(math.prod, self._shapes))

    def program(self, body: bytes) -> str:
        if len(body) != self.settings_bytes:
            raise ValueError(f"the body has {len(body)} bytes; settings of these blocks have {self.settings_bytes}")
        values, start, parts = _tensor(body), 0, []
        for shape in self._shapes:
            parts.append(values[start : start + math.prod(shape)].view(shape))
            start += math.prod(shape)
        settings = Settings(*parts)
        with self._lock:
            self._instrument.program(settings)
            self._programs += 1
            return self._number()

    def measure(self, body: bytes, shape_given: str) -> tuple[Tensor, str]:
        shape = self._input_shape(shape_given)
        if len(body) != 8 * math.prod(shape):
            raise ValueError(f"the body has {len(body)} bytes; inputs of shape {shape} have {8 * math.prod(shape)}")
        inputs = _tensor(body).view(shape)
        with self._lock:
            return self._instrument.measure(inputs), self._number()

    def _input_shape(self, given: str) -> tuple[int, ...]:
        blocks, size = self._instrument.blocks, self._instrument.size
        numbers = given.split(",") if len(given) < 64 else []
        shape = tuple(int(number) for number in numbers if number.isascii() and number.isdigit())
        fits = shape[:-1] in ((size,), (blocks, size)) and len(shape) == len(numbers) and shape[-1] >= 1
        if not fits or 16 * blocks * size * shape[-1] > MAX_BODY:
            raise ValueError(
                f"inputs have shape {given[:64]!r}; expected {blocks},{size},m or {size},m, m not too large"
            )
        return shape

    def _number(self) -> str:
        return f"{self._start}-{self._programs}"


def _tensor(body: bytes) -> Tensor:
    """Finite float64 values [n]."""
    values = torch.from_numpy(np.frombuffer(body, "<f8").astype(np.float64))
    if not torch.isfinite(values).all():
        raise ValueError("the body holds NaN or Inf; an instrument takes finite values")
    return values
