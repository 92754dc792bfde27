"""Every algorithm of the lab is tried on a simulated bench and on the same bench behind a real server on loopback."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lightloom.lab.mesh.instrument import Instrument
from lightloom.lab.remote import RemoteInstrument

Offer = Callable[..., str]
OnBench = Callable[[Instrument], Instrument]


@pytest.fixture
def offer() -> Iterator[Offer]:
    """Serves an instrument, with or without a token, from a thread; gives its address."""
    pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
    import uvicorn

    from lightloom.lab.server import app, listen, settings

    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(instrument: Instrument, token: str | None = None, **options: Any) -> str:
        listener = listen("127.0.0.1", 0)
        server = uvicorn.Server(settings(app(instrument, token, **options)))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(10)


@pytest.fixture(params=["simulated", "remote"])
def on_bench(request: pytest.FixtureRequest, offer: Offer) -> Iterator[OnBench]:
    """Gives the instrument itself, or a remote one that talks to it."""
    clients: list[RemoteInstrument] = []

    def place(instrument: Instrument) -> Instrument:
        if request.param == "simulated":
            return instrument
        clients.append(RemoteInstrument(offer(instrument)))
        return clients[-1]

    yield place
    for client in clients:
        client.close()
