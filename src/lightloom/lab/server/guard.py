"""Connections that say nothing, half a request or too many things at once do not wear the server out.

uvicorn has a time-out for connections that rest between two requests, but none for a request that does not arrive, and
its `limit_concurrency` counts those as well: they would shut out the client that measures. So its protocol is extended:
whoever connects has to send a whole head, then the whole body, within times that start once and are not renewed by
single bytes; whoever is answered has to read; and connections beyond a limit are told to come later, while those that
are open go on.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_TIMEOUT = 10.0
"""Time for the head of a request to arrive, in s, from the first byte or from connecting."""
BODY_TIMEOUT = 30.0
"""Time for the body of a request to arrive, in s, from the head."""
READ_TIMEOUT = 30.0
"""Time for the next part of an answer to be taken, in s."""
MAX_CONNECTIONS = 64

_DETAIL = b'{"detail": "Too many connections are open. Try again later."}'
_BUSY = b"\r\n".join(
    [
        b"HTTP/1.1 503 Service Unavailable",
        b"Content-Type: application/json",
        b"Connection: close",
        b"Content-Length: %d" % len(_DETAIL),
        b"",
        _DETAIL,
    ]
)
_Phase = Literal["head", "body", "none"]


class GuardedProtocol(H11Protocol):
    """HTTP/1.1 with an end to every wait for a client."""

    head_timeout, read_timeout = HEAD_TIMEOUT, READ_TIMEOUT
    body_timeout = BODY_TIMEOUT + 5  # the application says so first
    max_connections = MAX_CONNECTIONS

    _phase: _Phase = "none"
    _deadline: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head, or turn the client away."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            transport.write(_BUSY)
            self._give_up()
            return
        self._wait_for("head")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget all waits."""
        self._wait_for("none")
        self._stop_reading_watch()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """Take data as uvicorn does, but nothing more of a client that was turned away."""
        if not self.transport.is_closing():
            super().data_received(data)

    def handle_events(self) -> None:
        """Handle events as uvicorn does, then see what the client still owes."""
        super().handle_events()
        if self.transport.is_closing():
            self._wait_for("none")
        elif self.conn.their_state is h11.SEND_BODY:
            self._wait_for("body")
        elif self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._wait_for("head")
        else:
            self._wait_for("none")

    def send_400_response(self, msg: str) -> None:
        """Answer as uvicorn does where nothing was answered yet; within an answer there is nothing to say."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.abort()

    def timeout_keep_alive_handler(self) -> None:
        """End a silent connection as uvicorn does, also where the last answer was never read."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(self.read_timeout, self.transport.abort)

    def pause_writing(self) -> None:
        """The client is behind with reading: watch whether it reads at all."""
        super().pause_writing()
        self._watch_reading(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Resume writing: the client has caught up."""
        super().resume_writing()
        self._stop_reading_watch()

    def _wait_for(self, phase: _Phase) -> None:
        """Set a deadline where a wait begins; one that goes on keeps its own."""
        if phase == self._phase:
            return
        self._phase = phase
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if phase != "none":
            seconds = self.head_timeout if phase == "head" else self.body_timeout
            self._deadline = self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        """Close, and do not wait for the client to take what was written."""
        if not self.transport.is_closing():
            self.transport.close()
        self.loop.call_later(1.0, self.transport.abort)

    def _watch_reading(self, left: int) -> None:
        self._stop_reading_watch()
        self._unread = self.loop.call_later(self.read_timeout, self._check_reading, left)

    def _check_reading(self, left: int) -> None:
        now = self.transport.get_write_buffer_size()
        if now < left:
            self._watch_reading(now)
        else:
            self.transport.abort()

    def _stop_reading_watch(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


def guarded(**limits: Any) -> type[GuardedProtocol]:
    """A protocol with other limits, by the names of `GuardedProtocol`'s."""
    return cast(type[GuardedProtocol], type("Guarded", (GuardedProtocol,), limits))
