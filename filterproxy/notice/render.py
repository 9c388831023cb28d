"""The pages that stand in the place of something else: the notice, the warning, the short refusal.

No page ever holds the address that was asked for, in clear. Everything it needs is inside it, and its policy
lets it load nothing.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import date, datetime
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from filterproxy.core.model import Listing, Verdict
from filterproxy.settings.tables import Operator

from .headers import content_policy, page_headers, style_hash
from .language import Catalogue, catalogues, choose
from .token import Blocked, Sealer, sealable

_LETTERS = "23456789BCDFGHJKMNPQRTVWXZ"  # no vowels and no look-alikes: no reference spells a word or is misread
_REFERENCES = len(_LETTERS) ** 8
RETRY_SECONDS = 300
_REFERENCE_HERE, _TOKEN_HERE = b"<reference>", b"<token>"
_PAGES = 512
"""Pages that are kept prepared at most."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response but for its framing: whoever sends it adds Content-Length. `body` is empty for HEAD."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pieces:
    """A page that was rendered once, cut where its reference or its token stands."""

    cuts: tuple[bytes, ...] = field(repr=False)
    """Texts, and between them the very objects that mark a hole."""

    @classmethod
    def of(cls, page: bytes, reference: bytes, token: bytes) -> Pieces:
        """Cut a page in which these two stand for what differs."""
        cuts: list[bytes] = []
        for at, part in enumerate(page.split(reference)):
            if at:
                cuts.append(_REFERENCE_HERE)
            for inner, text in enumerate(part.split(token)):
                if inner:
                    cuts.append(_TOKEN_HERE)
                cuts.append(text)
        return cls(tuple(cuts))

    def filled(self, reference: bytes, token: bytes) -> bytes:
        """Return the whole page. Both are of letters that need no escape."""
        holes = {id(_REFERENCE_HERE): reference, id(_TOKEN_HERE): token}
        return b"".join([holes.get(id(cut), cut) for cut in self.cuts])


class Notices:
    """Makes the pages of one operator. Templates are compiled once, here; safe to use from several threads."""

    def __init__(self, operator: Operator, portal_url: str, sealer: Sealer) -> None:
        self._operator = operator
        self._portal = portal_url.rstrip("/")
        self._sealer = sealer
        self._languages = catalogues("filterproxy.notice")
        self._pages: dict[tuple[Listing, str, str, date, bool], Pieces] = {}
        self._block_headers: dict[str, tuple[tuple[str, str], ...]] = {}
        environment = Environment(
            loader=PackageLoader("filterproxy.notice"), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True, auto_reload=False,
        )  # fmt: skip
        self._templates = {name: environment.get_template(f"{name}.html") for name in ("block", "warning", "refused")}
        self._style = files("filterproxy.notice").joinpath("style.css").read_text("utf-8")
        # A browser checks form-action along redirects too; /appeal answers a token with the form itself.
        # A policy cannot name an IPv6 address (CSP 3, host-source), so such a portal is named by its scheme.
        target = f"{self._portal.partition(':')[0]}:" if "[" in self._portal else self._portal
        self._policy = content_policy(style=style_hash(self._style), form_action=target)
        implementer = quote(operator.url or self._portal, safe="/:?#[]@!$&'()*+,;=%~")
        self._blocked_by = f'<{implementer}>; rel="blocked-by"'

    def block(
        self, verdict: Verdict, subject: str, now: datetime, *, languages: str = "", head: bool = False
    ) -> Answer:
        """Return the notice for `verdict` on `subject` (a canonical URL or a bare host, never shown).

        A fail-closed list that could not judge is 503 with Retry-After. 451 is only said where the list's basis is
        law or court (RFC 7725). `languages` is the Accept-Language header.
        """
        if verdict.unavailable is not None:
            answer = self.refused(503, languages=languages, head=head)
            return Answer(503, (*answer.headers, ("Retry-After", str(RETRY_SECONDS))), answer.body)
        listing = verdict.listing or Listing(id="")
        t = choose(languages, self._languages)
        title = t("notice.title_url" if "://" in subject else "notice.title_host")
        headers = self._headers(t.language)
        if head:
            return Answer(_status(listing), headers, b"")
        reference = _reference()
        token = self._seal(listing, subject, now, reference)
        pieces = self._prepared(listing, title, t, now, sealed=bool(token))
        return Answer(_status(listing), headers, pieces.filled(reference.encode(), token.encode()))

    def _headers(self, language: str) -> tuple[tuple[str, str], ...]:
        found = self._block_headers.get(language)
        if found is None:
            found = (*page_headers(self._policy, language=language), ("Link", self._blocked_by))
            self._block_headers[language] = found
        return found

    def _prepared(self, listing: Listing, title: str, t: Catalogue, now: datetime, *, sealed: bool) -> Pieces:
        """Return the page but for what differs from notice to notice of the same list, language and day."""
        key = (listing, title, t.language, now.date(), sealed)
        found = self._pages.get(key)
        if found is None:
            reference, token = (
                f"R{secrets.token_hex(16)}",
                f"T{secrets.token_hex(16)}",
            )  # as plain as what they stand for
            page = self._page(
                "block", t, title=title, listing=listing, now=now, reference=reference, token=token if sealed else ""
            )
            if len(self._pages) >= _PAGES:
                self._pages.clear()
            found = self._pages[key] = Pieces.of(page, reference.encode(), token.encode())
        return found

    def warning(
        self, verdict: Verdict, subject: str, now: datetime, *, proceed_cookie: str | None,
        languages: str = "", head: bool = False,
    ) -> Answer:  # fmt: skip
        """Return the page that asks before it shows `subject`, and names the list that asks unless it is confidential.

        `proceed_cookie` is a whole Set-Cookie value that lets the same address through when it is asked for again;
        without it the page offers no way on. `verdict`, `subject` and `now` are taken as for `block`.
        """
        del subject, now  # the page says the same whatever the word was
        listing = verdict.listing
        if listing is None or listing.confidential:
            listing = Listing(id="")
        t = choose(languages, self._languages)
        body = b"" if head else self._page("warning", t, listing=listing, proceed=proceed_cookie is not None)
        headers = page_headers(self._policy, language=t.language)
        if proceed_cookie is not None:
            headers = (*headers, ("Set-Cookie", proceed_cookie))
        return Answer(403, headers, body)

    def refused(self, status: int, reason: str = "", *, languages: str = "", head: bool = False) -> Answer:
        """Return a short page without a token. `reason` is a fixed sentence of ours, never a part of the request."""
        t = choose(languages, self._languages)
        known = status if f"refused.title_{status}" in t else 500
        title = t("refused.title_reason" if reason else f"refused.title_{known}")
        text = reason or t(f"refused.text_{known}")
        body = b"" if head else self._page("refused", t, title=title, text=text)
        return Answer(status, page_headers(self._policy, language=t.language), body)

    def _seal(self, listing: Listing, subject: str, now: datetime, reference: str) -> str:
        """Return the token, empty where the address does not fit in one: the form then asks for it."""
        if not sealable(subject):
            return ""
        kind = "url" if "://" in subject else "host"
        return self._sealer.seal(Blocked(listing.id, subject, kind, now, reference))  # type: ignore[arg-type]

    def _page(self, name: str, t: Catalogue, **values: Any) -> bytes:
        page = self._templates[name].render(
            t=t, operator=self._operator, portal=self._portal, style=self._style, **values
        )
        return page.encode()


def _status(listing: Listing) -> int:
    """Return the status that the list asks for, but never 451 without a legal demand."""
    if listing.http_status == 451 and not listing.basis.legal_demand:
        return 403
    return listing.http_status


def _reference() -> str:
    number = secrets.randbelow(_REFERENCES)
    text = ""
    for _ in range(8):
        number, at = divmod(number, len(_LETTERS))
        text += _LETTERS[at]
    return f"{text[:4]}-{text[4:]}"
