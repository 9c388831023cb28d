from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from filterproxy.core.model import ListFormat, Scope
from filterproxy.errors import SourceError
from filterproxy.lists.changes import ids
from filterproxy.lists.publish import Status
from filterproxy.lists.reading import REPORTED_LINES, Before, Reader, Reading, held_id, options_of, same_lines
from filterproxy.settings import Settings
from filterproxy.settings.lists import List
from tests.lists.sources.web import Ca, plain, serving
from tests.policies import KEY, NOW
from tests.policies import table as table_of

NAMES = "".join(f"n{number}.example\n" for number in range(60))


def reader(**options: object) -> Reader:
    """Return a reader for an operator who owns own.example and has a customer."""
    settings = {"operator": {"domains": ["own.example"]}, "alerts": {"domains": ["customer.example"]}}
    return Reader.of(Settings.model_validate(settings | options), KEY, KEY)


def table(path: Path, content: str = NAMES, **options: object) -> List:
    """Return the table of a list of names that holds `content`."""
    path.write_text(content)
    return List.model_validate({"id": "names", "format": "domains", "source": str(path), **options})


def read(of: List, now: datetime, before: Before, **more: Any) -> Reading:
    """Return what a list's source says, which must be something."""
    found = reader().read(of, now, before, **more)
    assert found is not None
    return found


@pytest.fixture
def path(tmp_path):
    return tmp_path / "list.txt"


def after(reading: Reading, **changed: Any) -> Before:
    """Return what is known of a list that this reading put in force."""
    said = reading.validators
    status = Status(
        "names", "ok", held=reading.held, etag=said.etag, last_modified=said.last_modified,
        made_with=reading.made_with, format=reading.format,
    )  # fmt: skip
    return Before(replace(status, **changed), reading.compiled.shares, lambda: ids(reading.compiled.parts, KEY))


def test_a_reading_says_what_it_read(path):
    """The segment, the format, and what is new and gone since the last one."""
    first = read(table(path), NOW, Before())
    assert (first.compiled.name, first.compiled.shares.domains, first.format) == ("list:names", 60, "domains")
    assert (first.held, first.changes, first.alerts) == ((), None, ())
    second = read(table(path, NAMES.replace("n0.", "other.") + "more.example\n"), NOW, after(first))
    assert second.changes is not None
    assert (len(second.changes.added), len(second.changes.removed), second.changes.before) == (2, 1, 60)


def test_a_gate_that_refuses_is_an_error(path):
    """Nothing is returned then; compared with nothing, the same is a list."""
    first = read(table(path), NOW, Before())
    fewer = table(path, "n1.example\n")
    with pytest.raises(SourceError, match="cut short"):
        read(fewer, NOW, after(first))
    assert read(fewer, NOW, Before(after(first).status)).compiled.shares.domains == 1


@pytest.mark.parametrize("options", [
    {"root": "site"}, {"subdomains": False}, {"format": "hosts"}, {"within": "games"}, {"columns": {"url": "page"}},
    {"www": True}, {"guard": ["own"]}, {"action": "allow"}, {"confidential": True}, {"https": "inspect"},
    {"source": "/elsewhere"}, {"signed": {"key": "x"}},
])  # fmt: skip
def test_what_a_reading_depends_on_is_known_of_it(path, options):
    """Where one of these settings has changed, the source is asked for the whole."""
    one = table(path)
    other = List.model_validate(one.model_dump() | options)
    assert reader()._made_with(one, frozenset()) != reader()._made_with(other, frozenset())


def test_decisions_and_what_is_guarded_are_part_of_it(path):
    """A released entry, another own domain, another customer: each is a reason to read anew; a title is none."""
    one = table(path)
    made = reader()._made_with(one, frozenset())
    assert made != reader()._made_with(one, frozenset({"ab"}))
    assert made != reader(operator={"domains": ["another.example"]})._made_with(one, frozenset())
    assert made != reader(alerts={"domains": []})._made_with(one, frozenset())
    plainly = one.model_copy(update={"title": "Names", "max_removed": 0.5, "refresh": timedelta(hours=2)})
    assert made == reader()._made_with(plainly, frozenset())
    assert made == reader()._made_with(one, frozenset())


@pytest.mark.parametrize("options", [{"subdomains": False}, {"format": "wildcard"}])
def test_entries_that_changed_with_the_settings_are_not_gone(path, options):
    """Every name has another scope now, on purpose: that is not another list."""
    one = table(path)
    first = read(one, NOW, Before())
    second = read(table(path, **options), NOW, after(first))
    assert second.changes is not None
    assert len(second.changes.removed) == 60
    assert not same_lines(after(first).status, second.made_with)
    with pytest.raises(SourceError, match="another list"):
        read(table(path, NAMES.replace("n", "m")), NOW, after(first))


def test_an_unchanged_source_is_not_read(tmp_path):
    """It is asked by what it said of the version in force, if that was made with the settings as they are."""
    ca = Ca(tmp_path)
    with serving(ca, ca.issued("leaf")) as web:
        one = web.table(format="domains").model_copy(update={"source": web.url(host="localhost")})
        web.says["/list"] = plain(NAMES.encode(), 'ETag: "v1"')
        first = read(one, NOW, Before())
        assert first.validators.etag == '"v1"'
        web.says["/list"] = lambda: (
            plain(b"", status="304 Not Modified")
            if 'If-None-Match: "v1"' in web.heads[-1]
            else plain(NAMES.encode(), 'ETag: "v2"')
        )
        assert reader().read(one, NOW, after(first)) is None
        for before in (
            Before(), Before(after(first).status), after(first, made_with="other"), after(first, etag=""),
        ):  # fmt: skip
            assert read(one, NOW, before).validators.etag == '"v2"'
        assert read(one, NOW, after(first), released=frozenset({"ab"})).validators.etag == '"v2"'


def test_it_is_alone_once_its_source_has_come(path, tmp_path):
    """What takes memory is done one list at a time; what only waits for a source is not."""
    lock, seen = threading.Lock(), list[str]()

    @contextmanager
    def alone():
        seen.append("alone")
        with lock:
            yield

    read(table(path), NOW, Before(), alone=alone())
    assert seen == ["alone"]
    with pytest.raises(SourceError):
        read(table(path).model_copy(update={"source": str(tmp_path / "none")}), NOW, Before(), alone=alone())
    assert seen == ["alone"]


def test_a_format_that_is_not_named_is_told_from_the_lines(path):
    """What it was told to be stays: the same source in another format is refused until a person names it."""
    one = table(path, "".join(f"0.0.0.0 n{number}.example\n" for number in range(60)), format=None)
    first = read(one, NOW, Before())
    assert (first.format, options_of(one).subdomains) == (ListFormat.HOSTS, None)
    path.write_text("".join(f"||n{number}.example^\n" for number in range(60)))
    with pytest.raises(SourceError, match="it was of the format hosts and now looks like adblock"):
        read(one, NOW, after(first))
    path.write_text("\n")
    with pytest.raises(SourceError, match="cannot be told"):
        read(one, NOW, Before())


def test_what_would_block_the_operators_own_is_held_back_and_the_rest_is_not(path):
    """One entry waits, since when it was first met; once people released it, it is an entry as any other."""
    one = table(path, f"{NAMES}own.example\n")
    first = read(one, NOW, Before())
    [held] = first.held
    assert (held.value, held.line, held.since) == ("own.example", 61, NOW.isoformat())
    assert (first.compiled.shares.domains, first.compiled.shares.quarantined) == (60, 1)
    later = read(one, NOW + timedelta(hours=1), after(first))
    assert later.held == first.held
    free = read(one, NOW, after(first), released=frozenset({held.id}))
    assert (free.held, free.compiled.shares.domains) == ((), 61)


def test_an_entry_is_held_under_an_id_of_its_own():
    """Another list, scope, name or key is another id."""
    one = table_of("a")
    entries = [
        (list_id, entry, key)
        for list_id in ("a", "b")
        for entry in (_entry(one, "x.example"), _entry(one, "y.example"), _entry(one, "=x.example"))
        for key in (KEY, b"other")
    ]
    found = {held_id(*item) for item in entries}
    assert len(found) == len(entries)
    assert all(len(item) == 32 for item in found)


def _entry(of: List, name: str):
    from tests.policies import entries

    [found] = entries(of, [name.removeprefix("=")])
    return found._replace(scope=Scope.EXACT) if name[0] == "=" else found


def test_of_a_confidential_list_what_is_held_has_no_name(path):
    """Kind, scope and line are told, for people to find it in their own copy."""
    one = table(path, "listed.own.example\n", confidential=True)
    [held] = read(one, NOW, Before()).held
    assert (held.value, held.line) == ("", 1)
    assert "example" not in held.reason


def test_a_list_of_little_else_is_refused(path):
    """More than a thousand entries that would block what is guarded are no list that somebody should sift."""
    one = table(path, "".join(f"n{number}.own.example\n" for number in range(1001)))
    with pytest.raises(SourceError, match="more than 1000 entries would block"):
        read(one, NOW, Before())


def test_an_entry_on_a_customers_domain_is_told(path):
    """It takes force all the same: whoever owns the domain hears of it."""
    found = read(table(path, "shop.customer.example\n"), NOW, Before())
    [alert] = found.alerts
    assert (alert.kind, alert.facts["domain"], found.compiled.shares.domains) == ("domain", "customer.example", 1)


def test_bad_lines_are_told_one_by_one_up_to_a_bound(path, caplog):
    """The first ones with their place, then how many there were."""
    read(table(path, NAMES + "no name\n" * 50), NOW, Before())
    assert f"list names: {path}:61: not a domain name: 'no name'" in caplog.text
    assert len(caplog.records) == REPORTED_LINES + 1
    assert caplog.messages[-1] == "list names: 50 bad or unenforceable lines in all"


def test_a_bad_line_of_an_https_list_is_told_without_the_url(tmp_path, caplog):
    """A token may stand in it."""
    ca = Ca(tmp_path)
    with serving(ca, ca.issued("leaf")) as web, caplog.at_level(logging.DEBUG):
        web.says["/secret"] = plain((NAMES + "no name\n").encode())
        one = web.table(format="domains").model_copy(update={"source": web.url("/secret", "localhost")})
        read(one, NOW, Before())
    assert caplog.messages == ["list ads: line 61: not a domain name: 'no name'"]


def test_a_list_whose_end_is_missing_says_so(path):
    """The gates ask whether it had one before."""
    first = read(table(path, NAMES.removesuffix("\n")), NOW, Before())
    assert (first.compiled.shares.unended, read(table(path), NOW, Before()).compiled.shares.unended) == (1, 0)
