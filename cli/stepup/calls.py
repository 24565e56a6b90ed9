"""One call to the daemon, with the person at the terminal answering its questions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from stepup.errors import refuse_usage
from stepup.replies import Answer
from stepup.terminal import ask, show
from stepupd.client import Client

if TYPE_CHECKING:
    import _socket

Started = tuple["_socket.socket", bytes]
"""A connection on which a request with id 1 was sent, and what came on it so far."""


@dataclass(slots=True)
class Invocation:
    """This run of the command: what its options and the fast path left for the verb."""

    started: Started | None = None
    is_json: bool = False

    def take_started(self) -> Started | None:
        """Return the request that was sent already, once."""
        started, self.started = self.started, None
        return started

    def close(self) -> None:
        """Hang up on a request that nobody took."""
        started = self.take_started()
        if started is not None:
            started[0].close()


def call(context: typer.Context, method: str, params: Mapping[str, object]) -> Answer:
    """Return the daemon's answer; raises ClientError."""
    _check_text(params)
    started = context.obj.take_started()
    client = Client()
    try:
        if started is not None:
            sock, received = started
            return client.resume(sock, received, _show, _ask)
        return client.call(method, dict(params), _show, _ask)
    finally:
        client.close()


def _check_text(params: Mapping[str, object]) -> None:
    try:
        json.dumps(params, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise refuse_usage("an argument is no UTF-8, so that nobody could be shown it") from None


def _show(text: str, is_error: bool) -> None:  # noqa: FBT001 - the client's signature
    show(text, is_error=is_error)


def _ask(text: str, is_hidden: bool) -> str | None:  # noqa: FBT001 - the client's signature
    return ask(text, is_hidden=is_hidden)
