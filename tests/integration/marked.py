"""Confidential lists whose every word is marked, and the search for a mark in bytes, files and memory."""

from __future__ import annotations

import base64
import functools
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import re2

SILENT = "zqsilent"
"""Stands in each name, page and comment that nobody asks for, and in all that no line of a list can say."""
REFERENCE = "zqrefers"
"""Stands in each provider's reference, also of what is asked for."""
DIGEST = "5ec12e7dead0beef5ec1"
"""Begins each hash of a file."""
SOUGHT = "zqsought"
"""Stands in each keyword, expression and inner wildcard that nobody asks for."""
NEAR = "9dcafe5ec12e79dcafe5"
"""Begins each hash that is compared by its distance."""
ASKED = "zqwanted"
"""Stands in all that clients ask for, and in lines of lists that block it."""
UNASKED = (SILENT, REFERENCE, DIGEST, SOUGHT, NEAR)
EVERY = (*UNASKED, ASKED)

LISTS = {
    "domains": (
        "domains",
        ("# zqsilent\nzqsilent-a.example\n*.zqsilent-b.example\nzqsilent\u00f6.example\nzqwanted-a.example\n"
        "*.zqwanted-b.example\nzqsilent/bad\n"),
        "",
    ),
    "noticed": ("domains", "zqsilent-n.example\nzqwanted-n.example\n", 'dns = "notice"\n'),
    "pages": (
        "urls",
        ("http://zqsilent-h.example/zqsilent/page?zqsilent=1\n127.0.0.1/zqsilent/deep\n127.0.0.1/zqwanted/page\n"
        "http://zqwanted-h.example/zqwanted/page\nzqsilent bad\n"),
        'https = "inspect"\nbasis = "law"\nmandatory = true\n',
    ),
    "rows": (
        "csv",
        ("url,id\nhttp://zqsilent-r.example/zqsilent,zqrefers-1\nhttp://zqwanted-r.example/zqwanted,zqrefers-2\n"
        "zqsilent-s.example/x,zqrefers,zqsilent\n"),
        'columns = { url = "url", reference = "id" }\n',
    ),
    "rules": (
        "adblock",
        ("! zqsilent\n||zqsilent-c.example^\n@@||zqsilent-d.example^\n||zqwanted-c.example^\n@@||zqwanted-d.example^\n"
        "/zqsought[0-9]+\\./\n/zqwantedx[0-9]+\\./\n-zqsought-\n||a*zqsought.example^\n"
        "||zqsilent-e.example^$denyallow=zqsilent.zqsilent-e.example\n/zqsilent(/\n/(?=zqsilent)x/\n"
        "/zqsilent(a{1000}){1000}/\nzqsilent.example##.zqsilent\n"),
        "",
    ),
    "words": ("keywords", "zqsought\nzqsoughtpart,substring\nzqwantedword\n", 'action = "block"\n'),
    "hashes": (
        "hashes",
        f"md5:{DIGEST:0<32} zqrefers-3\n{DIGEST:1<64}\npdq:{NEAR + '0123456789abcdef' * 4:.64}\nmd5:{DIGEST}zqsilent\n",
        "",
    ),
}  # fmt: skip
"""Format, content and further settings of each list, by its id."""


def write(folder: Path) -> str:
    """Write the lists' sources, and return their tables for a configuration."""
    folder.mkdir()
    text = ""
    for name, (form, content, more) in LISTS.items():
        (folder / name).write_text(content)
        text += (
            f'[[lists]]\nid = "s-{name}"\nsource = "{folder / name}"\nformat = "{form}"\nconfidential = true\n{more}'
        )
    return text


def spellings(mark: str) -> list[bytes]:
    """Return the ways in which a mark could lie in bytes, wherever in an encoded text it begins."""
    text = mark.encode()
    percent = "".join(f"%{byte:02x}" for byte in text)
    found = {text, text.upper(), text.capitalize(), text.hex().encode(), text.hex().upper().encode(), percent.encode()}
    found |= {percent.upper().encode(), *(spelled.encode("utf-16-le")[:-1] for spelled in (mark, mark.upper()))}
    plain = [text, text.upper(), *([bytes.fromhex(mark)] if mark in (DIGEST, NEAR) else [])]
    found |= set(plain)
    for start in range(3):  # base64 tells three bytes by four letters: what stands before moves all the rest
        for one in plain:
            whole = (start + len(one)) // 3 * 4
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                found.add(encode(bytes(start) + one)[4 if start else 0 : whole])
    return sorted(found)


def marks(content: bytes, wanted: Iterable[str] = EVERY) -> dict[str, bytes]:
    """Return the marks that stand in `content`, in whatever spelling, each with what stands around it."""
    expression, spelled = _searched(tuple(wanted))
    found: dict[str, bytes] = {}
    for match in expression.finditer(content):
        at = match.start()
        found[spelled[match.group()]] = content[max(0, at - 150) : at + 150]
    return found


@functools.cache
def _searched(wanted: tuple[str, ...]) -> tuple[Any, dict[bytes, str]]:
    """Return one expression for all spellings, on re2 for its speed, and whose each of them is."""
    spelled = {text: mark for mark in wanted for text in spellings(mark)}
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # bytes as they are
    return re2.compile(b"|".join(map(re2.escape, spelled)), options), spelled


def in_files(folder: Path, wanted: Iterable[str] = EVERY) -> dict[str, dict[str, bytes]]:
    """Return the marks in the files below `folder` and in their names, by path."""
    found = {}
    for path in folder.rglob("*"):
        content = str(path.relative_to(folder)).encode()
        if path.is_file():
            with suppress(FileNotFoundError):
                content += b"\n" + path.read_bytes()
        if here := marks(content, wanted):
            found[str(path)] = here
    return found


def in_memory(pid: int, wanted: Iterable[str]) -> dict[str, bytes]:
    """Return the marks in all that a process has mapped, and in the memory files that it has open."""
    found: dict[str, bytes] = {}
    read = 0
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, flags, *_ = line.split()
            if not flags.startswith("r") or line.endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            start, end = (int(text, 16) for text in place.split("-"))
            with suppress(OSError, ValueError):
                memory.seek(start)
                content = memory.read(end - start)
                read += len(content)
                found |= {mark: line.encode() + b" " + near for mark, near in marks(content, wanted).items()}
    assert read > 10_000_000, "else nothing was read"
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            if "memfd:" in str(link.readlink()):
                found |= marks(link.read_bytes(), wanted)
    return found
