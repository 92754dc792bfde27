"""One HTTP connection to an instrument, kept open, on which one question follows the other."""

from __future__ import annotations

import http.client
import json
import selectors
import ssl
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from lightloom.common.errors import RequestError, WorkError

MAX_TEXT = 1 << 16
"""Largest answer of text in bytes."""


class TransportError(WorkError):
    """What came back cannot be used, but asking again may help: a time-out, a lost connection, stale data."""


class LostError(TransportError):
    """The connection broke off; whether the request was done is not known."""


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes
    headers: http.client.HTTPMessage


class Line:
    """A connection that opens when it is needed.

    Args:
        url: Such as `http://127.0.0.1:8765`.
        token: Sent with every request, or None.
        timeout: How long one request may take, in s.

    Raises:
        RequestError: The address, the token or the time-out is none.
    """

    def __init__(self, url: str, token: str | None, timeout: float) -> None:
        self._connection = _connection(url, timeout)
        self._headers = {} if token is None else {"Authorization": f"Bearer {_checked_token(token)}"}
        self.url, self._timeout = url, timeout

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, as far as this side knows."""
        return self._connection.sock is not None

    def close(self) -> None:
        """Close the connection; the next request opens it again."""
        self._connection.close()

    @property
    def timeout(self) -> float:
        """How long one request may take from now on, in s."""
        return self._timeout

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        self._timeout = self._connection.timeout = seconds
        if self._connection.sock is not None:
            self._connection.sock.settimeout(seconds)

    def ask(self, verb: str, path: str, body: bytes | None, headers: dict[str, str], limit: int) -> Answer:
        """Send one request, once, and read its answer.

        Args:
            verb: GET or POST.
            path: Of the address.
            body: Or None.
            headers: Besides the token.
            limit: Bytes that a useful answer has at most.

        Raises:
            LostError: The connection could not be made, or broke off.
            TransportError: Nothing came in time, or more than `limit`.
        """
        self._drop_if_spoken_to()
        try:
            self._connection.request(verb, path, body, self._headers | headers)
            response = self._connection.getresponse()
            answer = response.read(max(limit, MAX_TEXT) + 1)
            if not response.isclosed():
                self.close()  # more than was asked for: what remains must not be taken for the next answer
        except TimeoutError as error:
            self.close()
            raise TransportError(f"`{self.url}` did not answer within {self._timeout:g} s.") from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            reason = str(error) or type(error).__name__
            raise LostError(f"The connection to `{self.url}` failed: {reason}. Is the server running?") from error
        if response.status == http.client.OK and len(answer) > limit:
            self.close()
            raise TransportError(f"`{self.url}` sent more than the {limit} bytes that `{path}` may answer.")
        return Answer(response.status, answer, response.headers)

    def _drop_if_spoken_to(self) -> None:
        """Leave a connection on which something waits before anything was asked.

        Either the server has hung up, as it does when a connection rests for long, or an answer came twice.
        """
        if self._connection.sock is None:
            return
        with selectors.DefaultSelector() as selector:
            selector.register(self._connection.sock, selectors.EVENT_READ)
            if selector.select(0):
                self.close()


def json_object(answer: bytes) -> dict[str, Any]:
    """The object that an answer holds.

    Raises:
        TransportError: It holds something else.
    """
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise TransportError("The instrument's answer is not JSON.") from error
    if not isinstance(value, dict):
        raise TransportError("The instrument's answer is JSON, but no object.")
    return value


def reason_of(answer: bytes) -> str:
    """Why a server refuses, as far as it says so in a form that is known here."""
    try:
        return str(json_object(answer).get("detail"))[:500]
    except TransportError:
        return ""


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
