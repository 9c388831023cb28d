"""What a client gets in answer to one request: a page of ours, or what an origin sends, framed for that client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .fields import last_chunk
from .requests import BINDING

if TYPE_CHECKING:
    from .client import Client
    from .requests import Fields, Request
    from .responses import Response


class Answering:
    """The client's side of an exchange. Whoever is one says in `_close` what follows."""

    __slots__ = (
        "_answered", "_bound", "_chunked", "_client", "_keep", "_out", "_over", "_sent", "_switching", "request",
    )  # fmt: skip

    def __init__(self, client: Client, request: Request) -> None:
        """Answer `request` to `client`."""
        self._client, self.request = client, request
        self._keep = request.keep
        self._answered = self._chunked = self._bound = False
        """Whether anything was said; in chunks; and by a connection that has the client's name."""
        self._sent = self._over = False
        """Whether the request is whole; whether the answer is."""
        self._switching: Response | None = None
        """What says that another protocol follows."""
        self._out: list[bytes] = []

    @property
    def keeps(self) -> bool:
        """Whether the client's connection stands after this, as far as is known."""
        return self._keep and (self._sent or not self.request.bodied) and not self._client.closing

    def refuse(self, status: int, reason: str = "", *, keep: bool = True) -> None:
        """Answer with a short page."""
        keep = keep and self.keeps
        self.answer(self._client.house.pages.refuse(status, self.request, keep=keep, reason=reason), keep=keep)

    def answer(self, whole: bytes, *, keep: bool) -> None:
        """Answer with these bytes."""
        if self._over:
            return
        self._answered, self._keep = True, keep
        self._client.write(whole)
        self._close()

    # What an origin says

    def answered(self, response: Response) -> None:
        """Pass on the head of a response."""
        client, request = self._client, self.request
        heads = client.house.heads
        if response.interim:
            if request.minor:
                client.write(heads.response(response, chunked=False, keep=None))
            return
        if response.status == 101:
            self._switching = response  # said once the connection has changed hands
            return
        self._answered = True
        keep = self.keeps
        self._chunked = False
        if response.bodied and (response.length is None or response.chunked):
            response.length = None
            self._chunked = request.minor == 1
            keep = keep and self._chunked
        self._keep = keep
        told = None if keep and request.minor else keep
        self._out.append(heads.response(response, chunked=self._chunked, keep=told))
        if response.offers and any(value.startswith(BINDING) for value in response.offers):
            self._bound = True

    def body(self, piece: bytes) -> None:
        """Pass on a piece of its body."""
        if self._chunked:
            piece = b"%x\r\n%b\r\n" % (len(piece), piece)
        self._out.append(piece)

    def flush(self) -> None:
        """Write what was told together at once: each write is a call of the kernel's."""
        out = self._out
        if out:
            self._client.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()

    def _last(self, trailers: Fields) -> None:
        """Pass on the end of its body."""
        if self._chunked:
            self._out.append(last_chunk(trailers))
        self.flush()

    def _close(self) -> None:
        """Take note that the answer is whole."""
        raise NotImplementedError
