"""A simulated specimen offered over HTTP, as a chip on a bench would be.

* `GET /v1/chip`: the design and how many blocks there are; never the devices' errors, nor the seeds they came from.
* `POST /v2/program`: U's phases, V's phases and sigma of all blocks, one after another, raw little-endian float64.
* `POST /v2/measure`: inputs of the shape that `X-Lightloom-Shape` gives; outputs in the same form, and the number of
  the program that they belong to.
* `POST /v2/release`: the client that programmed lets others have the chip.

Each of the last three has a number and a checksum (`lightloom.lab.protocol`) and is done once, however often it comes;
`POST /v1/program` and `/v1/measure` are the same without, for clients that know neither.

Only the machine itself is served unless there is a token. Bodies are bounded, their sizes exact, their values finite.
Who programmed last holds the chip while it goes on asking, and no wait for a client is without end.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import NamedTuple

from lightloom.chips import MeshChip
from lightloom.common.errors import RequestError, WorkError
from lightloom.lab.mesh.instrument import specimen_instrument
from lightloom.lab.protocol import MAX_BLOCKS

try:
    import uvicorn
    from fastapi import FastAPI

    from lightloom.lab.server.guard import GuardedProtocol
    from lightloom.lab.server.web import app, is_loopback
except ImportError as error:
    raise RequestError("Serving needs the extra `serve`: run `pip install 'lightloom[serve]'`.") from error

__all__ = ["Address", "app", "check_address", "is_loopback", "listen", "serve", "settings"]

_REST = 600  # s, how long a connection may rest between two requests
_SHORTEST_TOKEN = 16


class Address(NamedTuple):
    """Where a chip is offered, and to whom."""

    host: str = "127.0.0.1"
    """Address to listen at: the machine itself, unless another is given."""
    port: int = 8765
    """Port to listen at; 0 takes a free one."""
    token: str | None = None
    """What clients must send; needed for any host but this machine."""


def serve(
    chip: MeshChip,
    blocks: int,
    specimen: int = 0,
    readout_std: float = 0.0,
    *,
    seed: int = 0,
    address: Address | None = None,
) -> None:
    """Offer a simulated specimen until interrupted.

    Args:
        chip: The design.
        blocks: Blocks measured side by side.
        specimen: Which manufactured chip.
        readout_std: Readout noise, as of `SimulatedInstrument`.
        seed: Number that the readout noise follows from.
        address: Where to listen; None is port 8765 of this machine alone.

    Raises:
        RequestError: Something is out of range, or the host is not this machine and there is no token.
        WorkError: The address is taken.
    """
    host, port, token = Address() if address is None else address
    check_address(host, token)
    if not 1 <= blocks <= MAX_BLOCKS:
        raise RequestError(f"There are {blocks} blocks to serve; expected 1 to {MAX_BLOCKS}.")
    instrument = specimen_instrument(chip, blocks, specimen=specimen, readout_std=readout_std, seed=seed)
    with listen(host, port) as listener, suppress(KeyboardInterrupt):
        uvicorn.Server(settings(app(instrument, token))).run(sockets=[listener])


def settings(served: FastAPI, protocol: type[GuardedProtocol] = GuardedProtocol) -> uvicorn.Config:
    """How the application is run.

    Args:
        served: What `app` made.
        protocol: With its limits on waiting and on connections.
    """
    return uvicorn.Config(
        served,
        http=protocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        server_header=False,
        timeout_keep_alive=_REST,
        timeout_graceful_shutdown=5,
    )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket whose answers leave at once.

    Args:
        host: Address to listen at.
        port: Port to listen at; 0 takes a free one.

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

    Args:
        host: Address to listen at.
        token: What clients must send; None is nothing.

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
