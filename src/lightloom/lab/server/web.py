"""The web application that offers an instrument: who may ask, what a request has to be, and how it is answered."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
from urllib.parse import urlsplit

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from lightloom.lab import protocol
from lightloom.lab.mesh.instrument import Instrument
from lightloom.lab.protocol import (
    API,
    BINARY,
    CHECKSUM,
    CLIENT,
    LATEST,
    MAX_BODY,
    NUMBER,
    PROGRAM,
    SHAPE,
    chip_checksum,
    is_client,
)
from lightloom.lab.server.desk import HOLD, Desk, Refusal
from lightloom.lab.server.guard import BODY_TIMEOUT

_JSON = "application/json"
_DIGITS = 16  # of the number of a request


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def app(instrument: Instrument, token: str | None = None, *, hold: float = HOLD) -> FastAPI:
    """The application; without a token it answers to loopback names alone.

    Args:
        instrument: What is served.
        token: What clients must send.
        hold: How long a client that says nothing still holds the chip, in s.
    """
    desk = Desk(instrument, hold)

    def admit(request: Request) -> None:
        header = request.headers.get("authorization", "")
        if token is not None and not hmac.compare_digest(header.encode(), f"Bearer {token}".encode()):
            raise HTTPException(401, "This instrument needs its token: send `Authorization: Bearer TOKEN`.")
        # a web page whose name is made to resolve to this machine must not get through
        if token is None and not is_loopback(_host_name(request)):
            raise HTTPException(403, "Without a token this instrument is reached by a loopback address alone.")

    # no pages that describe the interface: the chip is all that is served
    served = FastAPI(title="Lightloom", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(admit)])

    @served.get("/v1/chip")
    def chip() -> Response:
        design = instrument.chip.model_dump(mode="json")
        description = {
            "api": API,
            "latest": LATEST,
            "blocks": instrument.blocks,
            "chip": design,
            "calls": instrument.calls,
        }
        body = json.dumps(description).encode()
        return Response(body, media_type=_JSON, headers={CHECKSUM: chip_checksum(body)})

    @served.post("/v1/program")
    async def program(request: Request) -> dict[str, str]:
        body = await _body(request, desk.settings_bytes)
        try:
            return {"program": await run_in_threadpool(desk.program, body)}
        except Refusal as refusal:
            raise HTTPException(refusal.status, refusal.reason) from refusal

    @served.post("/v1/measure")
    async def measure(request: Request) -> Response:
        body = await _body(request, MAX_BODY)
        try:
            reply = await run_in_threadpool(desk.measure, body, request.headers.get(SHAPE, ""))
        except Refusal as refusal:
            raise HTTPException(refusal.status, refusal.reason) from refusal
        return Response(reply.body, media_type=BINARY, headers={SHAPE: reply.shape, PROGRAM: reply.program})

    @served.post("/v2/program")
    @served.post("/v2/measure")
    @served.post("/v2/release")
    async def numbered(request: Request) -> Response:
        claim = await _numbered(request, desk.settings_bytes)
        reply = await run_in_threadpool(desk.answer, claim)
        headers = {
            NUMBER: str(claim.number),
            SHAPE: reply.shape,
            PROGRAM: reply.program,
            CHECKSUM: reply.checksum(claim.checksum),
        }
        return Response(reply.body, reply.status, headers, media_type=BINARY)

    return served


async def _numbered(request: Request, settings_bytes: int) -> protocol.Request:
    """The request, if it is what its client sent."""
    path = request.url.path
    body = await _body(request, {"/v2/measure": MAX_BODY, "/v2/program": settings_bytes}.get(path, 0))
    headers = request.headers
    client, number = headers.get(CLIENT, ""), headers.get(NUMBER, "")
    if not is_client(client) or not (number.isascii() and number.isdigit() and len(number) <= _DIGITS):
        raise HTTPException(400, f"A request needs `{CLIENT}`, a key and a name, and `{NUMBER}`, which grows.")
    shape, program = headers.get(SHAPE, ""), headers.get(PROGRAM, "")
    claim = protocol.Request(path, client, int(number), body, shape, program)
    if headers.get(CHECKSUM) != claim.checksum:
        raise HTTPException(400, "The request was changed on the way: its checksum differs. Send it again.")
    return claim


async def _body(request: Request, largest: int) -> bytes:
    """The body of a request, if it is one, comes in time and is not too large."""
    if request.headers.get("content-type") != BINARY:
        raise HTTPException(415, f"The body is `{BINARY}`.")
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await _read(request, largest)
    except TimeoutError as error:
        raise HTTPException(408, f"The body did not arrive within {BODY_TIMEOUT:g} s.") from error
    except ClientDisconnect as error:  # nobody is there to be answered, and nothing was done
        raise HTTPException(400, "The client hung up before its body was there.") from error


async def _read(request: Request, largest: int) -> bytes:
    """The body, at most `largest` bytes, whatever the client says of its length."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > largest:
            raise HTTPException(413, f"The body is longer than {largest} bytes.")
    return bytes(body)


def _host_name(request: Request) -> str:
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""
