"""The remote bench over real sockets: what travels, what is refused, and what happens when the line is bad."""

import http.client
import math
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import torch
from torch import Tensor

from lightloom.chips import MeshChip, preset
from lightloom.common.errors import RequestError, WorkError
from lightloom.lab.mesh.instrument import BlockSettings, Instrument, specimen_instrument
from lightloom.lab.remote import BINARY, PROGRAM, SHAPE, RemoteInstrument, TransportError, to_bytes
from lightloom.lab.robust import RobustInstrument

serve = pytest.importorskip("lightloom.lab.server", exc_type=RequestError, reason="the extra `serve` is not installed")

TOKEN = "correct-horse-battery"
Offer = Callable[..., str]


def bench(**changes: Any) -> Instrument:
    return specimen_instrument(preset("l2ight").replace(**({"block_size": 3} | changes)), 2, specimen=1)


def some_settings(instrument: Instrument) -> BlockSettings:
    wide = (instrument.blocks, instrument.shifters)
    u, v = (9 * torch.randn(wide, dtype=torch.float64) for _ in range(2))
    return BlockSettings(u, v, 2 * torch.rand(instrument.blocks, instrument.size, dtype=torch.float64) - 1)


@pytest.mark.parametrize("field", ["real", "complex"])
def test_the_remote_chip_is_the_chip(offer: Offer, field: str) -> None:
    served, here = bench(field=field), bench(field=field)
    with RemoteInstrument(offer(served)) as remote:
        assert remote.chip == here.chip and (remote.blocks, remote.size) == (2, 3)
        settings = some_settings(here)
        remote.program(settings)
        here.program(settings)
        assert torch.equal(remote.matrices(), here.measure(torch.eye(3)))
        for inputs in (torch.randn(3, 7, dtype=torch.float64), torch.randn(2, 3, 1, dtype=torch.float64)):
            assert torch.equal(remote.measure(inputs), here.measure(inputs))
        settings.u_phases[:, 1] += 1
        remote.reprogram(settings, [1])
        here.program(settings)
        assert torch.equal(remote.matrices(), here.measure(torch.eye(3)))
        assert remote.calls == served.calls == 1 + 3 + 1 + 1
        with pytest.raises(ValueError, match="expected real"):
            remote.measure(torch.eye(4))


def ask(
    url: str, path: str, body: bytes | None = None, shape: str | None = None, **headers: str
) -> tuple[int, bytes, http.client.HTTPMessage]:
    """One raw request."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    sent = {} if body is None else {"Content-Type": BINARY}
    sent |= {} if shape is None else {SHAPE: shape}
    connection.request("GET" if body is None else "POST", path, body, sent | headers)
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return response.status, answer, response.headers


def test_only_the_public_design_is_told(offer: Offer) -> None:
    import json

    status, answer, _ = ask(offer(bench()), "/v1/chip")
    told = json.loads(answer)
    assert status == 200 and told.keys() == {"api", "latest", "blocks", "chip", "calls"}
    assert told["chip"].keys() == MeshChip.model_fields.keys()
    for path in ("/docs", "/openapi.json", "/v1/errors"):
        assert ask(offer(bench()), path)[0] == 404


@pytest.mark.parametrize(
    ("path", "body", "shape", "headers", "status", "text"),
    [
        ("/v1/program", bytes(8 * 18 - 1), None, {}, 422, "settings of these blocks have 144"),
        ("/v1/program", bytes(8 * 18 + 1), None, {}, 413, "longer than 144 bytes"),
        ("/v1/program", to_bytes(torch.full((18,), math.nan).double()), None, {}, 422, "NaN or Inf"),
        ("/v1/program", to_bytes(torch.full((18,), 1.5).double()), None, {}, 422, "between -1 and 1"),
        ("/v1/program", bytes(8 * 18), None, {"Content-Type": "text/plain"}, 415, BINARY),
        ("/v1/measure", bytes(8 * 9), None, {}, 422, "inputs have shape"),
        ("/v1/measure", bytes(8 * 9), "3,", {}, 422, "inputs have shape"),
        ("/v1/measure", bytes(8 * 9), "3,-3", {}, 422, "inputs have shape"),
        ("/v1/measure", bytes(8 * 9), "9", {}, 422, "inputs have shape"),
        ("/v1/measure", bytes(8 * 9), "1,3,3", {}, 422, "inputs have shape"),
        ("/v1/measure", b"", "3,0", {}, 422, "inputs have shape"),
        ("/v1/measure", bytes(8 * 9), "3,99999999999", {}, 422, "not too large"),
        ("/v1/measure", bytes(8 * 9), "3,²", {}, 422, "inputs have shape"),
        ("/v1/measure", bytes(8 * 8), "3,3", {}, 422, "have 72"),
        ("/v1/measure", to_bytes(torch.full((3, 3), math.inf).double()), "3,3", {}, 422, "NaN or Inf"),
        ("/v1/chip", None, None, {"Host": "evil.example"}, 403, "loopback"),
        ("/v1/chip", None, None, {"Host": "[::"}, 403, "loopback"),
    ],
)
def test_bad_requests_are_refused_and_change_nothing(
    offer: Offer, path: str, body: bytes | None, shape: str | None, headers: dict[str, str], status: int, text: str
) -> None:
    served = bench()
    served.program(some_settings(served))
    before = served.matrices()
    answered, answer, _ = ask(offer(served), path, body, shape, **headers)
    assert answered == status and text in answer.decode()
    assert served.calls == 1
    assert torch.equal(served.matrices(), before)


def test_a_token_is_needed_where_there_is_one(offer: Offer) -> None:
    url = offer(bench(), TOKEN)
    for wrong in (None, TOKEN + "x", TOKEN[:-1], "a"):
        with pytest.raises(RequestError, match="refuses this token"):
            RemoteInstrument(url, wrong)
    assert ask(url, "/v1/measure", bytes(72), "3,3")[0] == 401
    with RemoteInstrument(url, TOKEN) as remote:
        assert remote.blocks == 2
    assert ask(url, "/v1/chip", Host="a.name.of.ours", Authorization=f"Bearer {TOKEN}")[0] == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "bench.example", ""])
def test_other_machines_are_served_with_a_token_alone(host: str) -> None:
    for token in (None, "short"):
        with pytest.raises(RequestError, match="token of at least 16"):
            serve.serve(preset("l2ight"), 1, address=serve.Address(host, token=token))
    serve.check_address(host, TOKEN)


def test_what_cannot_be_served_is_refused() -> None:
    for host in ("127.0.0.1", "::1", "localhost", "127.9.9.9"):
        serve.check_address(host, None)
    with pytest.raises(RequestError, match="printable ASCII"):
        serve.check_address("127.0.0.1", "with a space, long enough")
    with pytest.raises(RequestError, match="0 blocks"):
        serve.serve(preset("l2ight"), 0)
    with serve.listen("127.0.0.1", 0) as taken, pytest.raises(WorkError, match="Cannot listen"):
        serve.serve(preset("l2ight"), 1, address=serve.Address(port=taken.getsockname()[1]))


def test_serve_listens_where_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def run(server: Any, sockets: list[socket.socket]) -> None:
        seen.extend([sockets[0].getsockname(), server.config.app])

    monkeypatch.setattr(serve.uvicorn.Server, "run", run)
    serve.serve(preset("l2ight"), 2, address=serve.Address(port=0))
    address, served = seen
    assert address[0] == "127.0.0.1" and address[1] > 0
    paths = {route.path for route in served.routes}
    assert {"/v1/chip", "/v1/program", "/v1/measure"} <= paths


@pytest.mark.parametrize(
    "url", ["127.0.0.1:80", "ftp://a", "http://", "http://a:b", "http://a/path", "http://u:p@a", "http://a?q"]
)
def test_addresses_are_checked(url: str) -> None:
    with pytest.raises(RequestError, match="no address of an instrument"):
        RemoteInstrument(url)


def test_nothing_is_measured_before_it_was_programmed(offer: Offer) -> None:
    served = bench()
    with RemoteInstrument(offer(served)) as remote:
        with pytest.raises(TransportError, match=r"stale: .*nobody has programmed it"):
            remote.matrices()
        assert (remote.calls, served.calls) == (1, 0)


def test_a_client_without_numbers_that_takes_the_chip_is_noticed(offer: Offer) -> None:
    served = bench()
    url = offer(served)
    assert ask(url, "/v1/program", bytes(8 * 18))[0] == 200  # it holds nothing
    with RemoteInstrument(url) as ours:
        ours.program(some_settings(served))
        ours.matrices()
        status, answer, _ = ask(url, "/v1/program", bytes(8 * 18))
        assert status == 423 and b"(process " in answer
        assert ask(url, "/v1/measure", bytes(8 * 9), "3,3")[0] == 423
        ours.matrices()
        assert ours.calls == served.calls == 2


class Script:
    """A server that gives one scripted answer per request, and notes what it was asked."""

    def __init__(self) -> None:
        self.listener = serve.listen("127.0.0.1", 0)
        self.answers: list[bytes | None] = []
        self.asked: list[bytes] = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def run(self) -> None:
        self.listener.settimeout(0.05)
        while not self.stop.is_set():
            try:
                connection, _ = self.listener.accept()
            except TimeoutError:
                continue
            with connection, suppress(ConnectionError):  # clients hang up when they have heard enough
                connection.settimeout(5)
                self.converse(connection)

    def converse(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while line := stream.readline():
                length = 0
                while (header := stream.readline()).strip():
                    if header.lower().startswith(b"content-length:"):
                        length = int(header.split(b":")[1])
                stream.read(length)
                self.asked.append(line.split()[1])
                answer = self.answers.pop(0)
                if answer is None:  # silence, until the client gives up
                    connection.recv(1)
                    return
                connection.sendall(answer)
                if b"Connection: close" in answer or not answer:
                    return

    def close(self) -> None:
        self.stop.set()
        self.thread.join(10)
        self.listener.close()


@pytest.fixture
def script() -> Iterator[Script]:
    server = Script()
    yield server
    server.close()


def answer(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def design(blocks: object = 1) -> bytes:
    import json

    chip = preset("l2ight").replace(block_size=2).model_dump(mode="json")
    return json.dumps({"api": 1, "blocks": blocks, "chip": chip, "calls": 0}).encode()


def outputs(values: list[float], shape: str = "1,2,2", program: str = "p1") -> bytes:
    body = to_bytes(torch.tensor(values, dtype=torch.float64))
    return answer(body, f"{SHAPE}: {shape}", f"{PROGRAM}: {program}")


PROGRAMMED = answer(b'{"program": "p1"}')
SOME = BlockSettings(*(torch.zeros(1, 1).double() for _ in range(2)), torch.ones(1, 2).double())
GOOD = [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("greeting", "error", "text"),
    [
        (answer(b"[]"), TransportError, "no object"),
        (answer(b"\xff{"), TransportError, "not JSON"),
        (answer(b"{}"), RequestError, "version None"),
        (answer(design(True)), RequestError, "True blocks"),
        (answer(design(0)), RequestError, "0 blocks"),
        (answer(design(1 << 40)), RequestError, "blocks"),
        (answer(design().replace(b"crosstalk", b"crosstaik")), RequestError, "unknown key `crosstaik`"),
        (answer(bytes(100_000)), TransportError, "more than the 65536 bytes"),
        (answer(b"", status="302 SearchResult"), TransportError, "failed .302."),
        (answer(b'{"detail": "x"}', status="500 Oh"), TransportError, "'x'"),
        (answer(b"<html>", status="404 No"), RequestError, "404"),
        (b"SSH-2.0\r\n\r\n", TransportError, "connection .* failed"),
        (b"", TransportError, "connection .* failed"),
    ],
)
def test_what_is_no_instrument_is_refused(script: Script, greeting: bytes, error: type[Exception], text: str) -> None:
    script.answers = [greeting]
    with pytest.raises(error, match=text):
        RemoteInstrument(script.url)


def test_nobody_there() -> None:
    with serve.listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(TransportError, match="Is the server running"):
        RemoteInstrument(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (None, "did not answer within 0.3 s"),
        (outputs(GOOD)[:-5] + b"", "did not answer within"),
        (answer(b"", "Connection: close"), "sent 0 bytes"),
        (outputs(GOOD, shape="2,2"), "shape '2,2'"),
        (outputs(GOOD[:3]), "sent 24 bytes"),
        (outputs([*GOOD, 5.0]), "more than the 32 bytes"),
        (outputs(GOOD, program="p0"), "stale data"),
        (outputs([1.0, math.nan, 3.0, 4.0]), "1 of 4 outputs are NaN"),
        (answer(b"", status="503 Busy"), "failed .503."),
    ],
)
def test_a_bad_line_is_retried_and_then_named(script: Script, bad: bytes | None, text: str) -> None:
    chip = answer(design())
    pauses: list[float] = []
    script.answers = [chip, PROGRAMMED, bad, PROGRAMMED, outputs(GOOD)]
    with RemoteInstrument(script.url, timeout=0.3) as remote:
        robust = RobustInstrument(remote, attempts=2, wait=0.01, sleep=pauses.append)
        robust.program(SOME)
        assert robust.matrices().flatten().tolist() == GOOD
        assert robust.calls == 2 and pauses == [0.01]
        assert script.asked[-3:] == [b"/v1/measure", b"/v1/program", b"/v1/measure"]
        script.answers = [bad, PROGRAMMED, bad]
        with pytest.raises(WorkError, match=rf"failed at measuring 2 times in a row, after 4 calls: .*{text}"):
            robust.matrices()


def test_a_connection_that_rested_too_long_is_opened_again(script: Script) -> None:
    script.answers = [answer(design(), "Connection: close"), PROGRAMMED]
    with RemoteInstrument(script.url) as remote:
        remote.program(SOME)
    script.answers = [answer(design()), PROGRAMMED, b"", PROGRAMMED]
    with RemoteInstrument(script.url) as remote:
        remote.program(SOME)
        remote.program(SOME)  # the server hangs up once
    assert not script.answers


class Failing(Instrument):
    """An instrument on the machine itself that follows a script of errors."""

    def __init__(self, failures: list[Exception | None]) -> None:
        super().__init__(preset("l2ight").replace(block_size=2), 1)
        self.failures, self.programs = failures, 0

    def program(self, settings: BlockSettings) -> None:
        self.programs += 1

    def measure(self, inputs: Tensor) -> Tensor:
        self.calls += 1
        failure = self.failures.pop(0)
        if failure is not None:
            raise failure
        return torch.ones(1, 2, inputs.shape[-1], dtype=torch.float64)


def test_pauses_double_and_attempts_are_bounded() -> None:
    instrument, pauses = Failing([OSError("unplugged")] * 9), list[float]()
    robust = RobustInstrument(instrument, attempts=4, wait=0.5, sleep=pauses.append)
    robust.program(SOME)
    with pytest.raises(WorkError, match=r"4 times in a row, after 4 calls: \(1\) unplugged; .*\(4\) unplugged"):
        robust.matrices()
    assert pauses == [0.5, 1.0, 2.0] and len(instrument.failures) == 5


def test_after_a_failure_everything_is_programmed_again_once() -> None:
    instrument = Failing([None, TimeoutError(), None, None])
    robust = RobustInstrument(instrument, sleep=lambda pause: None)
    robust.program(SOME)
    robust.matrices()
    robust.reprogram(SOME, [0])
    assert instrument.programs == 2
    robust.matrices()  # fails, programs, measures
    robust.measure(torch.ones(2, 1).double())
    assert instrument.programs == 3 and robust.calls == instrument.calls == 4


def test_other_errors_are_not_retried() -> None:
    robust = RobustInstrument(Failing([ValueError("a bug"), None]), sleep=lambda pause: None)
    robust.program(SOME)
    with pytest.raises(ValueError, match="a bug"):
        robust.matrices()
    with pytest.raises(ValueError, match="at least 1"):
        RobustInstrument(Failing([]), attempts=0)
