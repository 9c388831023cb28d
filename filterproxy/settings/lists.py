"""The [[lists]] tables: where a list comes from, who answers for it, how its blocks are given."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from filterproxy.core.model import Action, Basis, DnsAnswer, Https, ListFormat, Listing, OnFailure

from .base import Duration, FilePath, SourceText, Table

MIB = 1024 * 1024


def _day(value: object) -> object:
    if isinstance(value, int | float):  # would be read as seconds since 1970, and wipe the list
        raise ValueError("write a date such as 2026-12-31")
    return value


Day = Annotated[date, BeforeValidator(_day)]
"""A day of the calendar."""


class Fetch(Table):
    """How an https source is fetched. Every size also holds for files."""

    headers: FilePath | None = None
    """A file of `Name: value` lines that are sent along, such as an API key. Only its owner may read it."""
    certificate: FilePath | None = None
    """The client's certificate (PEM)."""
    key: FilePath | None = None
    """The key of the client's certificate (PEM). Only its owner may read it."""
    ca: FilePath | None = None
    """Certificates (PEM) that the source's own must lead to. Unset: the system's."""
    timeout: Duration = Field(default=timedelta(minutes=5), gt=timedelta())
    """How long the whole may take; a source that sends nothing for a tenth of it has stalled."""
    max_bytes: int = Field(default=512 * MIB, ge=1)
    """Bytes at most as they arrive."""
    max_unpacked: int = Field(default=2048 * MIB, ge=1)
    """Bytes at most once unpacked."""
    private: bool = False
    """Whether the source may be on a private, loopback or link-local address."""


class Signed(Table):
    """Who signs the list. What is not signed, or not by this key, is refused."""

    key: str = ""
    """An Ed25519 public key in base64 or PEM, or that of minisign. Empty: no signature is asked for."""
    signature: SourceText = ""
    """A path or https URL. Empty: the source with `.minisig` or `.sig` put on."""

    @model_validator(mode="after")
    def _by_somebody(self) -> Self:
        if self.signature and not self.key:
            raise ValueError("a signature is checked with a key: set signed.key as well")
        return self


class Columns(Table):
    """Where a CSV list keeps what: each the name of a column, or its number from 1."""

    url: str = ""
    """URLs, read as a URL list is. Empty with `domain` empty as well: the column named `url`."""
    domain: str = ""
    """Names, read as a domain list is."""
    reference: str = ""
    """The provider's reference."""
    not_before: str = ""
    """The moment from which an entry counts: ISO 8601, UTC unless it says."""
    not_after: str = ""
    """The moment from which it counts no more."""
    territory: str = ""
    """Where it counts; several are parted by a space, a comma, `;` or `|`."""
    delimiter: str = ","
    """What parts the columns."""

    @field_validator("delimiter")
    @classmethod
    def _parts(cls, value: str) -> str:
        if len(value) != 1 or value == '"' or not (value.isprintable() or value == "\t"):
            raise ValueError('write one character that is no quotation mark, such as ";"')
        return value


class List(Table):
    """A list."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """A short name; it stands in metrics and on the public record."""
    title: str = Field(default="", max_length=200)
    """Its name for people. Unset: the id."""
    authority: str = Field(default="", max_length=200)
    """Who provides the list."""
    category: str = Field(default="", max_length=100)
    """What it lists, as safe to show to a child."""
    basis: Basis = Basis.VOLUNTARY
    """law, court, voluntary or subscriber."""
    opt_out: bool = False
    """Whether a subscriber may leave it."""
    confidential: bool = False
    """Whether its entries are secret."""
    mandatory: bool = False
    """Whether it blocks in every profile."""
    action: Action | None = None
    """block, allow, flag or warn. Unset: block; flag for keyword lists."""
    source: SourceText = Field(min_length=1)
    """A file or folder, relative to the working directory, or an https URL; also packed (gzip, zstd, tar)."""
    within: str = ""
    """The folder inside the source that holds the list, such as one category of a squidGuard tree."""
    format: ListFormat | None = None
    """The form of its lines. Unset: told from what is there; keyword, CSV and hash lists are always named."""
    refresh: Duration = Field(default=timedelta(hours=1), gt=timedelta())
    """How often the source is read again."""
    max_age: Duration | None = None
    """The age beyond which the list counts as failed."""
    min_entries: int = Field(default=1, ge=1)
    """Fewer entries than this, and the list is refused."""
    max_entries: int = Field(default=10_000_000, ge=1)
    """More entries than this, and the list is refused."""
    max_growth: float = Field(default=10, gt=1, le=1_000_000)
    """So many times larger at once, and the list is refused."""
    max_removed: float = Field(default=0.25, ge=0, le=1)
    """If more than this share of its entries is gone at once, the list is refused."""
    guard: tuple[Literal["own", "top-sites", "suffixes"], ...] = ("own", "top-sites", "suffixes")
    """Entries that would block one of these whole are kept in quarantine until somebody decides: the operator's own
    domains, top sites (`operator.top_sites`), suffixes under which everybody registers names."""
    licence_until: Day | None = None
    """The last day of the licence; then the list is wiped."""
    on_failure: OnFailure = OnFailure.OPEN
    """open: go on without the list; closed: refuse what it would have judged."""
    https: Https = Https.PASS
    """What happens where only the host of an https URL is seen: pass, inspect or block-host."""
    root: Literal["page", "site"] = "page"
    """Whether an entry for the front page means the page or the whole site."""
    www: bool = False
    """Whether a URL is looked up with `www.` put on and taken off as well."""
    subdomains: bool | None = None
    """Whether a name covers what is below it. Unset: as its format says; domain lists do, hosts files do not."""
    dns: DnsAnswer = DnsAnswer.NXDOMAIN
    """How a blocked name is answered: nxdomain, nodata, null, refused or notice."""
    http_status: Literal[200, 403, 404, 451] | None = None
    """Unset: 451 for law and court, else 403. 451 is only for these (RFC 7725)."""
    ede: Literal[15, 16, 17] | None = None
    """The extended DNS error. Unset: 16 for law and court, 15 for voluntary, 17 for subscriber."""
    appeal: str = ""
    """Where the owner of the list hears appeals: a URL or an e-mail address."""
    rpz: bool = False
    """Whether resolvers may take it as a response policy zone (`dns.transfer`)."""
    rpz_receivers: tuple[str, ...] = Field(default=(), max_length=100)
    """Ids of the receivers that may. Empty: all, but of a confidential list none."""
    columns: Columns = Columns()
    fetch: Fetch = Fetch()
    signed: Signed = Signed()

    @field_validator("within")
    @classmethod
    def _inside(cls, value: str) -> str:
        if value.startswith("/") or ".." in value.split("/") or "\\" in value or not value.isprintable():
            raise ValueError("write a folder inside the source, such as adult/urls")
        return value

    @field_validator("action")
    @classmethod
    def _known_action(cls, value: Action | None) -> Action | None:
        if value in (Action.INSPECT, Action.REWRITE):
            raise ValueError("write block, allow, flag or warn")
        return value

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        keywords = self.format is ListFormat.KEYWORDS
        if self.mandatory and self.resolved_action is not Action.BLOCK:
            raise ValueError("a mandatory list blocks; its action cannot be anything else")
        if self.format is ListFormat.HASHES and self.action is not None and self.action is not Action.BLOCK:
            raise ValueError("a hash list blocks")
        if self.max_age == timedelta():
            raise ValueError("max_age: every list is older than that at once")
        if self.min_entries > self.max_entries:
            raise ValueError("min_entries is more than max_entries: every list would be refused")
        if bool(self.fetch.certificate) != bool(self.fetch.key):
            raise ValueError("fetch.certificate and fetch.key go together")
        if self.mandatory and keywords:
            raise ValueError("a keyword list cannot be mandatory: keywords rank below every list")
        if not keywords and self.resolved_action in (Action.FLAG, Action.WARN):
            raise ValueError("only keyword lists flag or warn")
        if self.http_status == 451 and not self.basis.legal_demand:
            raise ValueError("http_status 451 is only for basis law or court (RFC 7725)")
        if self.resolved_action is Action.ALLOW and self.on_failure is OnFailure.CLOSED:
            raise ValueError('a list that allows refuses nothing: on_failure = "closed" is not for it')
        if self.rpz and self.resolved_action is not Action.BLOCK:
            raise ValueError("rpz: only a list that blocks can be given to other resolvers")
        if self.mandatory and self.opt_out:
            raise ValueError("a mandatory list has no opt_out")
        return self

    @property
    def resolved_action(self) -> Action:
        """The action with its default: keyword lists flag, all others block."""
        if self.action is not None:
            return self.action
        return Action.FLAG if self.format is ListFormat.KEYWORDS else Action.BLOCK

    @property
    def listing(self) -> Listing:
        """The part of the table that the decision and the answers need."""
        legal = self.basis.legal_demand
        default_ede = 16 if legal else 17 if self.basis is Basis.SUBSCRIBER else 15
        return Listing(
            id=self.id, title=self.title or self.id, authority=self.authority, category=self.category,
            basis=self.basis, opt_out=self.opt_out, confidential=self.confidential, mandatory=self.mandatory,
            action=self.resolved_action, format=self.format, https=self.https, root_is_site=self.root == "site",
            www=self.www, on_failure=self.on_failure, max_age=self.max_age, dns=self.dns,
            http_status=self.http_status or (451 if legal else 403), ede=self.ede or default_ede, appeal=self.appeal,
        )  # fmt: skip
