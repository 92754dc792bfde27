"""Who holds a served chip, and clients that wait for ever, die, or come in crowds."""

import http.client
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import torch
from torch import Tensor

from lightloom.chips import preset
from lightloom.common.errors import RequestError, WorkError
from lightloom.lab.mesh.identify import identify
from lightloom.lab.mesh.instrument import BlockSettings, Instrument, SimulatedInstrument, specimen_instrument
from lightloom.lab.protocol import BINARY, Request
from lightloom.lab.remote import HeldError, RemoteInstrument, TransportError
from lightloom.lab.robust import RobustInstrument

serve = pytest.importorskip("lightloom.lab.server", exc_type=RequestError, reason="the extra `serve` is not installed")
guard = pytest.importorskip("lightloom.lab.server.guard")

CHIP = preset("l2ight").replace(block_size=3)
Offer = Callable[..., str]


def bench() -> SimulatedInstrument:
    return specimen_instrument(CHIP, 1, specimen=2)


def settings(value: float = 0.5) -> BlockSettings:
    shifters = torch.full((1, 3), value, dtype=torch.float64)
    return BlockSettings(shifters, shifters, torch.ones_like(shifters))


# who holds the chip


def test_others_are_told_who_holds_the_chip_and_since_when(offer: Offer) -> None:
    served = bench()
    url = offer(served)
    with RemoteInstrument(url, name="Ann at the bench") as ann, RemoteInstrument(url, name="Bob") as bob:
        ann.program(settings())
        for ask in (lambda: bob.program(settings(1)), bob.matrices):
            with pytest.raises(HeldError, match=r"Ann at the bench holds the chip: programmed at \d\d:\d\d:\d\d UTC"):
                ask()
        ann.matrices()
        assert (ann.calls, bob.calls, served.calls) == (1, 1, 1)
        ann.close()
        bob.program(settings(1))  # Ann has let go of it
        bob.matrices()
        with pytest.raises(HeldError, match="Bob holds"):
            ann.matrices()


def test_a_client_that_is_forgotten_holds_nothing(offer: Offer) -> None:
    url = offer(bench())
    RemoteInstrument(url).program(settings())
    with RemoteInstrument(url) as other:
        other.program(settings(1))


def test_a_client_that_was_silent_for_long_loses_the_chip_and_is_told(offer: Offer) -> None:
    served = bench()
    url = offer(served, hold=0.0)
    with RemoteInstrument(url, name="Ann") as ann, RemoteInstrument(url, name="Bob") as bob:
        ann.program(settings())
        expected = ann.matrices()
        bob.program(settings(1))
        with pytest.raises(TransportError, match=r"stale: .*Bob programmed it at .*Program again"):
            ann.matrices()
        assert served.calls == 1  # what nobody can use is not measured
        robust = RobustInstrument(ann, sleep=lambda pause: None)
        robust.program(settings())
        bob.program(settings(1))
        assert torch.equal(robust.matrices(), expected)  # programmed again, measured again
        assert robust.calls == ann.calls == 4


def test_several_clients_at_once_have_true_numbers_or_a_refusal(offer: Offer) -> None:
    served = bench()
    url = offer(served)
    truth = {}
    for value in (0.1, 0.2, 0.3, 0.4):
        here = bench()
        here.program(settings(value))
        truth[value] = here.matrices()
    wrong: list[float] = []
    refused: list[str] = []
    done: list[float] = []

    def work(value: float) -> None:
        for _ in range(12):
            with RemoteInstrument(url, name=f"client {value}") as remote:
                try:
                    remote.program(settings(value))
                    (done if torch.equal(remote.matrices(), truth[value]) else wrong).append(value)
                except TransportError as error:
                    refused.append(str(error))

    threads = [threading.Thread(target=work, args=(value,)) for value in truth]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong and done and len(done) + len(refused) == 48
    assert all("holds the chip" in text or "programmed it" in text for text in refused)


def test_a_chip_that_is_held_is_waited_for_as_long_as_the_attempts_last(offer: Offer) -> None:
    url = offer(bench())
    with RemoteInstrument(url, name="Ann") as ann, RemoteInstrument(url) as other:
        ann.program(settings())
        robust = RobustInstrument(other, attempts=3, sleep=lambda pause: None)
        with pytest.raises(WorkError, match=r"3 times in a row.*Ann holds the chip"):
            robust.program(settings())
        patient = RobustInstrument(other, attempts=3, sleep=lambda pause: ann.close())
        patient.program(settings())


def test_names_are_checked() -> None:
    for name in ("", "a\nb", " a", "ä", "x" * 97):
        with pytest.raises(RequestError, match="client's name"):
            RemoteInstrument("http://127.0.0.1:1", name=name)


# what a server does with an instrument that fails


class Faulty(SimulatedInstrument):
    """Gives something else than numbers."""

    fault: Any = None

    def measure(self, inputs: Tensor) -> Tensor:
        outputs = super().measure(inputs)
        if isinstance(self.fault, Exception):
            raise self.fault
        changed: Tensor = self.fault(outputs)
        return changed


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (WorkError("the laser is off"), "the instrument failed: the laser is off"),
        (TimeoutError("no trigger"), "no trigger"),
        (lambda outputs: outputs * float("nan"), "9 of 9 outputs are NaN or Inf"),
        (lambda outputs: outputs[:, :2], "shape .1, 2, 3.; expected .1, 3, 3."),
        (lambda outputs: outputs.long(), "int64"),
        (lambda outputs: outputs.numpy(), "ndarray"),
        (lambda outputs: outputs.to(torch.complex128), "complex128"),
    ],
)
def test_an_instrument_that_fails_is_said(
    offer: Offer, fault: Any, text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    served = Faulty(CHIP, bench()._errors, 1)
    served.fault = fault
    with RemoteInstrument(offer(served)) as remote:
        remote.program(settings())
        with pytest.raises(TransportError, match=f"failed .502.: .*{text}"):
            remote.matrices()
        assert remote.calls == served.calls == 1
    assert "Traceback" not in capfd.readouterr().err


# clients that wait for ever, die, or come in crowds


@pytest.fixture
def guarded() -> Iterator[Callable[..., tuple[int, Any]]]:
    """Serves a chip with other limits; its port, and what uvicorn runs."""
    import uvicorn

    running: list[tuple[Any, threading.Thread]] = []

    def start(chip: Instrument | None = None, **limits: Any) -> tuple[int, Any]:
        listener = serve.listen("127.0.0.1", 0)
        server = uvicorn.Server(serve.settings(serve.app(chip or bench()), guard.guarded(**limits)))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        running.append((server, thread))
        return listener.getsockname()[1], server

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(10)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds, a few seconds at most."""
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it never came to that")


WHOLE = b"GET /v1/chip HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
POST = f"POST /v2/measure HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {BINARY}\r\nContent-Length: 72\r\n\r\n".encode()


@pytest.mark.parametrize(
    "beginning",
    [b"", b"G", WHOLE[:-9], WHOLE[:-2], WHOLE + WHOLE[:20], POST, POST + bytes(71), WHOLE + POST + bytes(10)],
    ids=["nothing", "a byte", "half a head", "no end", "the second head", "no body", "half a body", "the second body"],
)
@pytest.mark.parametrize("trickle", [False, True], ids=["silent", "byte by byte"])
def test_a_request_that_does_not_arrive_is_not_waited_for(
    guarded: Callable[..., tuple[int, Any]], beginning: bytes, trickle: bool
) -> None:
    port, server = guarded(head_timeout=0.3, body_timeout=0.3)
    with connect(port) as client, ExitStack() as stack:
        client.sendall(beginning)
        until(lambda: len(server.server_state.connections) == 1)
        stop = threading.Event()
        stack.callback(stop.set)
        if trickle:

            def drip() -> None:
                with suppress(OSError):
                    while not stop.wait(0.05):
                        client.sendall(b"a")

            threading.Thread(target=drip, daemon=True).start()
        until(lambda: not server.server_state.connections)
        with suppress(ConnectionError):
            while client.recv(1 << 16):
                pass


def test_a_crowd_that_sends_half_a_head_goes_and_shuts_out_nobody_who_measures(
    guarded: Callable[..., tuple[int, Any]],
) -> None:
    port, server = guarded(head_timeout=0.5, max_connections=40)
    with RemoteInstrument(f"http://127.0.0.1:{port}") as remote, ExitStack() as stack:
        remote.program(settings())
        for _ in range(300):
            client = stack.enter_context(connect(port))
            with suppress(ConnectionError):  # those that were turned away
                client.sendall(WHOLE[:-9])
        assert remote.matrices().shape == (1, 3, 3)
        until(lambda: len(server.server_state.connections) <= 40)
        assert remote.matrices().shape == (1, 3, 3)
        until(lambda: len(server.server_state.connections) == 1)
        with RemoteInstrument(f"http://127.0.0.1:{port}") as other:
            assert other.blocks == 1
    assert guard.MAX_CONNECTIONS < 300


def test_who_comes_too_many_is_told(guarded: Callable[..., tuple[int, Any]]) -> None:
    port, _ = guarded(max_connections=2)
    with connect(port), connect(port), connect(port) as third:
        answer = b""
        while piece := third.recv(1 << 16):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503") and f"Content-Length: {len(body)}".encode() in head
    assert "Too many connections" in json.loads(body)["detail"]


def test_who_does_not_read_its_answer_is_dropped(guarded: Callable[..., tuple[int, Any]]) -> None:
    chip = specimen_instrument(CHIP, 1, specimen=2)
    port, server = guarded(chip, read_timeout=0.3)
    vectors = 1 << 19
    head = (
        f"POST /v1/measure HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {BINARY}\r\nX-Lightloom-Shape: 3,{vectors}\r\n"
    )
    with connect(port) as client:
        client.sendall(head.encode() + f"Content-Length: {24 * vectors}\r\n\r\n".encode() + bytes(24 * vectors))
        until(lambda: chip.calls > 0)
        until(lambda: not server.server_state.connections)


def test_a_connection_that_rests_between_requests_stays(guarded: Callable[..., tuple[int, Any]]) -> None:
    port, server = guarded(head_timeout=0.2, body_timeout=0.2)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(2):
        connection.request("GET", "/v1/chip")
        assert connection.getresponse().read()
        time.sleep(0.5)
        assert len(server.server_state.connections) == 1
    connection.close()


@pytest.mark.parametrize(
    "sent",
    [
        POST,
        POST + bytes(40),
        POST.replace(b"v2", b"v1") + bytes(40),
        POST.replace(b"measure", b"program") + bytes(8),
        WHOLE[:30],
        b"\x00\xff\x16\x03\x01 garbage\r\n\r\n",
        POST.replace(b"Content-Length: 72", b"Transfer-Encoding: chunked") + b"zz\r\n",
        POST.replace(BINARY.encode(), b"text/plain").replace(b"Content-Length: 72", b"Transfer-Encoding: chunked")
        + b"z",
        WHOLE + b"\xff\xff\r\n\r\n",
        WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
        POST.replace(b"Content-Length: 72", b"Expect: 100-continue\r\nContent-Length: 72"),
        POST.replace(b"72", b"99999999999999999999"),
        WHOLE.replace(b"Host", b"X-Lightloom-Client: \xe4\r\nHost"),
    ],
)
def test_a_client_that_dies_or_talks_nonsense_leaves_no_traceback(
    guarded: Callable[..., tuple[int, Any]],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    sent: bytes,
) -> None:
    port, server = guarded()
    with caplog.at_level(logging.INFO):
        for reset in (False, True):
            client = connect(port)
            client.sendall(sent)
            time.sleep(0.05)
            if reset:  # the other end is told that it is gone, not that it has finished
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            client.close()
        until(lambda: not server.server_state.connections and not server.server_state.tasks)
    log = caplog.text + capfd.readouterr().err  # uvicorn writes its own
    assert "Traceback" not in log and "Exception" not in log
    assert ("Invalid HTTP request" in log) or b"garbage" not in sent  # so it is the log that was looked at
    with RemoteInstrument(f"http://127.0.0.1:{port}") as remote:
        remote.program(settings())


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 200),
        ({"X-Lightloom-Number": "2"}, 400),
        ({"X-Lightloom-Number": "0" * 5000 + "1"}, 400),
        ({"X-Lightloom-Number": "-1"}, 400),
        ({"X-Lightloom-Number": ""}, 400),
        ({"X-Lightloom-Client": "short name"}, 400),
        ({"X-Lightloom-Checksum": ""}, 400),
        ({"X-Lightloom-Shape": "3,3"}, 400),
        ({"Content-Type": "text/plain"}, 415),
    ],
)
def test_a_numbered_request_is_whole_or_refused(offer: Offer, changes: dict[str, str], status: int) -> None:
    url = offer(bench())
    request = Request("/v2/program", "0" * 32 + " tester", 1, bytes(8 * 9))
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    connection.request("POST", request.path, request.body, request.headers | changes)
    assert connection.getresponse().status == status
    connection.close()


def test_a_whole_identification_fits_between_two_others(offer: Offer) -> None:
    url = offer(specimen_instrument(CHIP, 2, specimen=5))
    biases = []
    for _ in range(2):
        with RemoteInstrument(url) as remote:
            biases.append(identify(remote).twin.u_bias)
    assert torch.equal(*biases)
