"""Numbered requests: each is sent until the answer to that very request is there, whole, or it counts as failed."""

from __future__ import annotations

import logging

from lightloom.lab.line import MAX_TEXT, Answer, Line, LostError, TransportError, reason_of
from lightloom.lab.protocol import CHECKSUM, NUMBER, PROGRAM, SHAPE, Reply, Request

SENDINGS = 3
"""How often a request is sent before it counts as failed; the server does it once."""
_FAREWELL = 2.0  # s, for letting go of the chip
_LOG = logging.getLogger("lightloom")


class ChangedError(TransportError):
    """What came back is not what was sent, or does not belong to what was asked."""


class Sender:
    """Sends numbered requests, each until it has the answer to that very request or gives up."""

    def __init__(self, line: Line, client: str) -> None:
        self._line, self._client, self._number = line, client, 0

    def send(self, path: str, body: bytes, shape: str, program: str, limit: int) -> Reply:
        """One request; the answer belongs to it and is what the server sent, refusals included.

        Args:
            path: Path of the request.
            body: Its bytes.
            shape: Shape of the tensor in the body, as the header has it; None is no tensor.
            program: Number of the program that it belongs to; None is none.
            limit: Bytes of the answer that are read at most.

        Raises:
            TransportError: There was no such answer.
        """
        self._number += 1
        request = Request(path, self._client, self._number, body, shape, program)
        sendings = 0
        while True:
            sendings += not self._line.is_open  # on a connection that has rested the server may have hung up: no try
            try:
                answer = self._line.ask("POST", path, body, request.headers, limit)
                return _verified(answer, request, self._line.url)
            except (LostError, ChangedError):
                self._line.close()
                if sendings >= SENDINGS:
                    raise

    def leave(self) -> None:
        """Let go of the chip, if it was ever asked for something, and close the connection."""
        if self._number and self._line.is_open:
            patience, self._line.timeout = self._line.timeout, _FAREWELL
            try:
                self.send("/v2/release", b"", "", "", MAX_TEXT)
            except TransportError as error:
                _LOG.info("The chip was not let go of; its server does so by itself after a while: %s", error)
            finally:
                self._line.timeout = patience
        self._line.close()


def _verified(answer: Answer, request: Request, url: str) -> Reply:
    """The reply that an answer is.

    Raises:
        TransportError: It was changed on the way, or answers another request.
    """
    number, checksum = answer.headers.get(NUMBER), answer.headers.get(CHECKSUM)
    if number is None or checksum is None:
        reason = reason_of(answer.body) or "no reason that can be read"
        raise ChangedError(f"`{url}` answered ({answer.status}) without number or checksum: {reason}.")
    if number != str(request.number):
        raise ChangedError(f"`{url}` sent stale data: the answer to request {number[:20]}, not to {request.number}.")
    reply = Reply(answer.body, answer.status, answer.headers.get(SHAPE, ""), answer.headers.get(PROGRAM, ""))
    if reply.checksum(request.checksum) != checksum:
        raise ChangedError(f"The answer of `{url}` to request {number} was changed on the way: its checksum differs.")
    return reply
