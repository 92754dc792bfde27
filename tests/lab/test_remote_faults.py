"""Whatever a line does to a request or its answer: the client has the chip's own numbers or an error, and counts.

A proxy between a served chip and its client spoils one exchange after the other, as it is told.
"""

import json
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from lightloom.chips import preset
from lightloom.common.errors import RequestError, WorkError
from lightloom.lab.mesh.identify import identify
from lightloom.lab.mesh.instrument import BlockSettings, SimulatedInstrument, specimen_instrument
from lightloom.lab.protocol import Reply, Request, shape_text, to_bytes
from lightloom.lab.remote import RemoteInstrument, TransportError
from lightloom.lab.robust import RobustInstrument

serve = pytest.importorskip("lightloom.lab.server", exc_type=RequestError, reason="the extra `serve` is not installed")

CHIP = preset("l2ight").replace(block_size=3)

Fault = Callable[[bytes], bytes | None]
"""From a message as it was sent to what arrives; None cuts the line before anything does."""


def whole(message: bytes) -> bytes:
    return message


def flip(place: int, bit: int) -> Fault:
    """One bit of the byte at `place`, counted round the end of the message."""

    def changed(message: bytes) -> bytes:
        spoilt = bytearray(message)
        if spoilt:
            spoilt[place % len(spoilt)] ^= 1 << bit
        return bytes(spoilt)

    return changed


def cut(share: float) -> Fault:
    return lambda message: message[: int(share * len(message))]


def lose(message: bytes) -> None:
    return None


def read_message(stream: socket.socket) -> bytes:
    """Head and body of one request or answer, or what there is of it before the line closes."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = stream.recv(1 << 16)
        if not piece:
            return data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        piece = stream.recv(1 << 16)
        if not piece:
            break
        body += piece
    return head + b"\r\n\r\n" + body


class Proxy:
    """Passes each exchange on with the faults that stand first in the lists, then whole; a line serves one exchange."""

    def __init__(self, url: str) -> None:
        self.requests: list[Fault] = []
        self.replies: list[Fault] = []
        self.twice = False
        self.stale = False
        self.delay = 0.0
        self.paths: list[bytes] = []
        self._last = b""
        self._server = ("127.0.0.1", int(url.rpartition(":")[2]))
        self._listener = serve.listen("127.0.0.1", 0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)
        self._listener.close()

    def _run(self) -> None:
        self._listener.settimeout(0.02)
        while not self._stop.is_set():
            try:
                line, _ = self._listener.accept()
            except TimeoutError:
                continue
            with line, suppress(OSError):  # either side may hang up
                line.settimeout(5)
                self._exchange(line)

    def _exchange(self, line: socket.socket) -> None:
        request = read_message(line)
        if not request:
            return
        self.paths.append(request.split(b" ")[1])
        arrived = (self.requests.pop(0) if self.requests else whole)(request)
        if arrived is None:
            return
        patience = 5 if arrived == request else 0.02  # one that claims to be longer than it is waits in vain
        answers = [self.pass_on(arrived, patience) for _ in range(2 if self.twice else 1)]
        answer, self._last = (self._last if self.stale and self._last else answers[0]), answers[0]
        self.stale = False
        time.sleep(self.delay)
        returned = (self.replies.pop(0) if self.replies else whole)(answer)
        if returned is not None:
            line.sendall(returned)

    def pass_on(self, request: bytes, patience: float = 5) -> bytes:
        """The server's answer."""
        with socket.create_connection(self._server, timeout=patience) as server, suppress(TimeoutError):
            server.sendall(request)
            return read_message(server)
        return b""


class Recording(SimulatedInstrument):
    """Keeps what it measured last, as it left the chip."""

    latest: Tensor | None = None

    def measure(self, inputs: Tensor) -> Tensor:
        self.latest = super().measure(inputs)
        return self.latest


class Bench:
    """A chip, the proxy before it, and a client that has programmed it."""

    def __init__(self, offer: Callable[..., str]) -> None:
        hidden = specimen_instrument(CHIP, 1, specimen=4)
        shifters = torch.full((1, 3), 0.5, dtype=torch.float64)
        self.settings = BlockSettings(shifters, 3 * shifters, 1.5 * shifters)
        hidden.program(self.settings)
        hidden.matrices()  # the first of a process loads what it needs, and no time-out should meet that
        self.chip = Recording(CHIP, hidden._errors, 1, readout_std=0.01)
        self.proxy = Proxy(offer(self.chip))
        self.remote = RemoteInstrument(self.proxy.url, timeout=8)
        self.remote.program(self.settings)

    def length(self, side: str) -> int:
        """Bytes of a request or a reply of a measurement."""
        seen: list[int] = []

        def note(message: bytes) -> bytes:
            seen.append(len(message))
            return message

        getattr(self.proxy, side).append(note)
        self.remote.matrices()
        return seen[0]

    def close(self) -> None:
        self.remote.close()
        self.proxy.close()


@pytest.fixture
def bench(offer: Callable[..., str]) -> Iterator[Bench]:
    opened = Bench(offer)
    yield opened
    opened.close()


@pytest.mark.parametrize("side", ["requests", "replies"])
def test_one_changed_bit_at_any_place_is_noticed_or_harmless(bench: Bench, side: str) -> None:
    """Every byte of head and body; where it was noticed, the request goes out again and is measured once."""
    again = 0
    for place in range(bench.length(side)):
        getattr(bench.proxy, side).append(flip(place, (5 * place + place // 8) % 8))
        before, asked = bench.chip.calls, len(bench.proxy.paths)
        assert torch.equal(bench.remote.matrices(), _latest(bench)), place
        assert bench.chip.calls == before + 1 == bench.remote.calls, place
        again += len(bench.proxy.paths) - asked - 1
    assert again > 150


def _latest(bench: Bench) -> Tensor:
    assert bench.chip.latest is not None
    return bench.chip.latest


def test_a_changed_description_of_the_chip_is_not_believed(bench: Bench) -> None:
    seen: list[int] = []

    def note(message: bytes) -> bytes:
        seen.append(len(message))
        return message

    bench.proxy.replies.append(note)
    RemoteInstrument(bench.proxy.url)
    opened = 0
    for place in range(0, seen[0], 23):
        bench.proxy.replies.append(flip(place, (3 * place + place // 8) % 8))
        with suppress(TransportError, RequestError):
            remote = RemoteInstrument(bench.proxy.url)
            assert (remote.chip, remote.blocks, remote._version) == (CHIP, 1, 2), place
            opened += 1
    assert opened > seen[0] / 46  # a changed body was asked for again


@pytest.mark.parametrize("side", ["requests", "replies"])
@pytest.mark.parametrize(
    "faults",
    [
        [lose],
        [lose, lose],
        [cut(0.1)],
        [cut(0.9)],
        [cut(0.99), lose],
        [lambda message: b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"],
        [lambda message: b"HTTP/1.1 302 SearchResult\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"],
        [lambda message: b"\x00\xff garbage \r\n\r\n" + message],
        [lambda message: message.replace(b"x-lightloom-checksum", b"x-lightloom-checksun")],
        [lambda message: message[: -8 * 9] + bytes(8 * 9)],
        [lambda message: message[: -8 * 9] + torch.full((9,), math.nan).double().numpy().tobytes()],
        [lambda message: message.replace(b"3,3", b"1,9")],
    ],
)
def test_what_was_spoilt_is_sent_again_and_done_once(bench: Bench, side: str, faults: list[Fault]) -> None:
    for _ in range(3):
        getattr(bench.proxy, side).extend(faults)
        assert torch.equal(bench.remote.matrices(), _latest(bench))
        getattr(bench.proxy, side).extend(faults)
        bench.remote.program(bench.settings)
        assert torch.equal(bench.remote.matrices(), _latest(bench))
    assert bench.remote.calls == bench.chip.calls == 6


@pytest.mark.parametrize("side", ["requests", "replies"])
def test_a_line_that_stays_broken_is_an_error_and_counts_once(bench: Bench, side: str) -> None:
    getattr(bench.proxy, side).extend([lose] * 4)  # a connection that rested is no try
    with pytest.raises(TransportError, match=r"connection .* failed"):
        bench.remote.matrices()
    assert bench.remote.calls == 1
    assert bench.chip.calls == (0 if side == "requests" else 1)
    assert torch.equal(bench.remote.matrices(), _latest(bench))


def test_an_answer_to_an_earlier_request_is_known_by_its_number(bench: Bench) -> None:
    first = bench.remote.matrices()
    bench.proxy.stale = True
    second = bench.remote.matrices()
    assert not torch.equal(first, second) and torch.equal(second, _latest(bench))
    assert bench.remote.calls == bench.chip.calls == 2


def test_a_request_that_arrives_twice_is_done_once(bench: Bench) -> None:
    bench.proxy.twice = True
    for _ in range(3):
        assert torch.equal(bench.remote.matrices(), _latest(bench))
    bench.remote.program(bench.settings)
    assert torch.equal(bench.remote.matrices(), _latest(bench))
    assert bench.remote.calls == bench.chip.calls == 4


def test_a_request_that_arrives_late_is_not_done(bench: Bench) -> None:
    late: list[bytes] = []

    def note(message: bytes) -> bytes:
        late.append(message)
        return message

    bench.proxy.requests.append(note)
    bench.remote.program(bench.settings)
    bench.remote.matrices()
    answer = bench.proxy.pass_on(late[0])
    assert b" 409 " in answer and b"nothing was done" in answer
    assert torch.equal(bench.remote.matrices(), _latest(bench))


def test_a_slow_answer_is_waited_for_or_missed_with_the_call_counted(bench: Bench) -> None:
    bench.proxy.delay = 0.1
    assert torch.equal(bench.remote.matrices(), _latest(bench))
    hasty = RemoteInstrument(bench.proxy.url, timeout=1.5)
    bench.remote.close()
    hasty.program(bench.settings)
    bench.proxy.delay = 1.8
    with pytest.raises(TransportError, match=r"did not answer within 1.5 s"):
        hasty.matrices()
    bench.proxy.delay = 0.0
    assert torch.equal(hasty.matrices(), _latest(bench))
    assert hasty.calls + bench.remote.calls == bench.chip.calls == 3
    hasty.close()


KINDS: dict[str, Fault] = {
    "whole": whole,
    "lost": lose,
    "head cut": cut(0.4),
    "body cut": cut(0.97),
    "flipped": flip(-5, 6),
    "flipped in its head": flip(40, 1),
    "other": lambda message: b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(sorted(KINDS)), max_size=8),
    st.lists(st.sampled_from(sorted(KINDS)), max_size=8),
    st.booleans(),
)
def test_any_sequence_of_faults_ends_in_true_numbers_or_an_error(
    bench: Bench, requests: list[str], replies: list[str], twice: bool
) -> None:
    bench.proxy.requests = [KINDS[kind] for kind in requests]
    bench.proxy.replies = [KINDS[kind] for kind in replies]
    bench.proxy.twice = twice
    robust = RobustInstrument(bench.remote, attempts=3, sleep=lambda pause: None)
    before = bench.remote.calls - bench.chip.calls
    with suppress(WorkError):
        robust.program(bench.settings)
        for _ in range(3):
            assert torch.equal(robust.matrices(), _latest(bench))
    assert bench.remote.calls - bench.chip.calls >= before


def test_a_chip_behind_a_bad_line_is_identified_as_on_the_table(offer: Callable[..., str]) -> None:
    chip = specimen_instrument(CHIP, 2, specimen=5, readout_std=0.002)
    proxy = Proxy(offer(chip))
    remote = RemoteInstrument(proxy.url)
    kinds = [KINDS[kind] for kind in sorted(KINDS)]
    for kind in 3 * kinds:
        proxy.requests += [kind, whole, whole, whole]
        proxy.replies += [whole, whole, kind, whole]
    known = identify(RobustInstrument(remote, sleep=lambda pause: None))
    table = identify(specimen_instrument(CHIP, 2, specimen=5, readout_std=0.002))
    assert torch.equal(known.twin.u_bias, table.twin.u_bias)
    assert remote.calls == chip.calls == table.calls
    remote.close()
    proxy.close()


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_change_of_a_request_or_a_reply_leaves_its_checksum(data: st.DataObject) -> None:
    text = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)
    fields = {"path": text, "client": text, "number": st.integers(1, 99), "body": st.binary(max_size=8), "shape": text}
    made = {name: data.draw(strategy) for name, strategy in fields.items()}
    other = {name: data.draw(st.one_of(st.just(made[name]), strategy)) for name, strategy in fields.items()}
    first, second = Request(**made), Request(**other)
    assert (first.checksum == second.checksum) == (made == other)
    replies = [Reply(x["body"], x["number"], x["shape"]) for x in (made, other)]
    same = replies[0] == replies[1]
    assert (replies[0].checksum("a") == replies[1].checksum("a")) == same
    assert replies[0].checksum("a") != replies[0].checksum("b")


# servers of version 1 know no numbers


class Plain(BaseHTTPRequestHandler):
    """Such a server; of a measurement it loses every other answer after it was made."""

    protocol_version = "HTTP/1.1"
    chip: SimulatedInstrument
    lost: list[bool]

    def log_message(self, *_: Any) -> None:
        return None

    def answer(self, body: bytes, **headers: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(f"X-Lightloom-{name}", value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        told = {"api": 1, "blocks": 1, "chip": self.chip.chip.model_dump(mode="json"), "calls": 0}
        self.answer(json.dumps(told).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        values = torch.frombuffer(bytearray(body), dtype=torch.float64)
        if self.path == "/v1/program":
            self.chip.program(BlockSettings(*(part[None] for part in values.split(3))))
            self.answer(b'{"program": "1"}')
            return
        outputs = self.chip.measure(values.view(3, -1))
        self.lost.append(len(self.lost) % 2 == 0)
        if self.lost[-1]:
            self.close_connection = True
        else:
            self.answer(to_bytes(outputs), Shape=shape_text(tuple(outputs.shape)), Program="1")


@pytest.fixture
def plain() -> Iterator[tuple[str, SimulatedInstrument]]:
    chip = specimen_instrument(CHIP, 1, specimen=4)
    handler = type("Handler", (Plain,), {"chip": chip, "lost": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", chip
        server.shutdown()


def test_where_a_server_knows_no_numbers_each_sending_counts(
    plain: tuple[str, SimulatedInstrument], caplog: pytest.LogCaptureFixture
) -> None:
    url, chip = plain
    with RemoteInstrument(url) as remote:
        assert "sends no checksums" in caplog.text and "Update its server" in caplog.text
        zeros = torch.zeros(1, 3, dtype=torch.float64)
        remote.program(BlockSettings(zeros, zeros, zeros + 1))
        for vectors in (3, 1, 7, 4):
            remote.measure(torch.rand(3, vectors))
        assert remote.calls == chip.calls == 2 * (1 + 1 + 3 + 2)


def test_what_a_server_without_checksums_sends_is_a_number_at_least(plain: tuple[str, SimulatedInstrument]) -> None:
    url, chip = plain
    chip.measure = lambda inputs: torch.full((1, 3, inputs.shape[-1]), math.nan, dtype=torch.float64)  # type: ignore[method-assign]
    with RemoteInstrument(url) as remote:
        zeros = torch.zeros(1, 3, dtype=torch.float64)
        remote.program(BlockSettings(zeros, zeros, zeros + 1))
        with pytest.raises(TransportError, match="9 of 9 outputs are NaN or Inf"):
            remote.matrices()
