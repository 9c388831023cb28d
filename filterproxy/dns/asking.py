"""How one room asks another for the answer to a question: by a call back, for a task would cost more than the rest.

A chain of rooms stands between a question that is not blocked and the upstreams; each takes what is its own to answer
and hands the rest on (see `chain.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from .cache import Answer
    from .memo import Template
    from .wire import Query


class Way(NamedTuple):
    """How a question came, as far as its reply depends on that."""

    stream: bool = False
    """Over a connection: a reply may be as long as a message can be, and the client's address is its own."""
    encrypted: bool = False
    """Over TLS: what only the client may read may be told."""
    profile: str | None = None
    """The profile that the client chose, where it may; else that of its address counts."""


UDP, TCP = Way(), Way(stream=True)

Then = Callable[["Answer"], None]
"""Takes the answer. It is called once, on the event loop, perhaps before `ask` has returned; it raises nothing."""

Reply = Callable[["bytes | None", "Template | None"], None]
"""Takes a reply to a client, or None where silence is the answer; and from what it may be given again, if it may. It
is called once, on the event loop, perhaps before `answer` has returned; it raises nothing."""


class Asks(Protocol):
    """Whoever answers what we cannot: a room of the chain, or what a test puts in its place."""

    def ask(self, query: Query, then: Then) -> None:
        """Have `then` called with the answer to `query`: with a failure where there is none. Raises nothing."""
        ...
