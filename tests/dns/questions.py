"""Questions of clients as packets less their id: usual ones, ones that are nearly so, and none at all."""

from __future__ import annotations

from hypothesis import strategies as st

NAMES: list[tuple[bytes, ...]] = [
    *((name, b"example") for name in (b"fine", b"blocked", b"only", b"null", b"notice", b"seen", b"leads", b"goes")),
    *((name, b"example") for name in (b"soon", b"late", b"zero", b"none", b"long", b"lost", b"refused")),
    (b"_8443", b"_https", b"only", b"example"),
    (b"b\xfccher", b"blocked", b"example"),
    (b"b\xfccher", b"fine", b"example"),
    (b"fine.example",),
    (b"a.b", b"\0\xff A", b"example"),
    (b"blocked\0", b"example"),
    ("bücher".encode(), b"example"),
    (b"x" * 63,) * 3 + (b"y" * 61,),
    (),
]


LABELS = st.one_of(st.sampled_from(NAMES), st.lists(st.binary(min_size=1, max_size=9), max_size=3).map(tuple))
TYPES = st.one_of(st.sampled_from([1, 1, 1, 16, 28, 65, 97, 64, 33, 5, 6, 41, 250, 252, 255, 0]), st.integers(0, 65535))
OPTIONS = st.sampled_from([
    b"", b"\0\x0a\0\x08" + b"cookiesx", b"\0\x0a\0\x10" + bytes(16), b"\0\x0c\0\3\0\0\0", b"\0\x0f\0\2\0\1" * 2,
    b"\0\x0a\0\x18" + b"cookies1" + bytes(16), b"\0\x0a\0\x07" + bytes(7), b"\0\x0f\0\0\0\x0a\0\x08" + bytes(8),
    b"\0\x0a\0\x08cut", b"\0\x0a\0", b"\xff\xff\0\0", b"\0\x08\0\7\0\1\x18\0\x0a\0\0",
])  # fmt: skip
SIZES = st.one_of(st.sampled_from([0, 511, 512, 513, 600, 1231, 1232, 1233, 4096, 65535]), st.integers(0, 65535))


@st.composite
def opts(draw: st.DrawFn) -> bytes:
    """An OPT record, as it should be or nearly so."""
    options = draw(OPTIONS)
    rcode = draw(st.sampled_from([0] * 8 + [1, 255]))
    version = draw(st.sampled_from([0] * 8 + [1, 255]))
    flags = draw(st.sampled_from([0, 0, 0x8000, 0x8000, 0x4000, 0x0001, 0xFFFF]))
    length = max(0, len(options) + draw(st.sampled_from([0] * 8 + [-1, 1])))
    name = draw(st.sampled_from([b"\0"] * 8 + [b"\1x\0", b"\xc0\x0c"]))
    return b"".join((
        name, b"\0\x29", draw(SIZES).to_bytes(2), bytes((rcode, version)), flags.to_bytes(2),
        length.to_bytes(2), options
    ))  # fmt: skip


def spelled(labels: tuple[bytes, ...], capitals: int) -> bytes:
    """Return a name in wire form, with every letter a capital that `capitals` has a bit for."""
    at, parts = 0, []
    for label in labels:
        letters = bytearray(label)
        for place, letter in enumerate(letters):
            if chr(letter).isalpha() and letter < 128:
                letters[place] = letter & ~0x20 if capitals >> (at % 16) & 1 else letter | 0x20
                at += 1
        parts.append(bytes([len(letters)]) + letters)
    return b"".join(parts) + b"\0"


@st.composite
def shapes(draw: st.DrawFn) -> tuple[tuple[bytes, ...], bytes]:
    """What is asked: a name, and type with class."""
    qclass = draw(st.sampled_from([1] * 12 + [3, 255, 0, 254]))
    return draw(LABELS), draw(TYPES).to_bytes(2) + qclass.to_bytes(2)


@st.composite
def packets(draw: st.DrawFn, shape: st.SearchStrategy[tuple[tuple[bytes, ...], bytes]]) -> bytes:
    """A question less its id: usual, or not quite."""
    labels, asked = draw(shape)
    question = spelled(labels, draw(st.sampled_from([0, 0, 0xFFFF, 0x5A5A, 0x0001]))) + asked
    third = draw(st.sampled_from([1] * 16 + [0, 0, 3, 5, 9, 0x29, 0x81]))
    fourth = draw(st.sampled_from([0] * 6 + [0x10, 0x10, 0x20, 0x20, 0x30, 0x40, 0x80, 0x0F]))
    opt = draw(st.one_of(st.none(), st.just(b"\0\0\x29\x04\xd0" + bytes(6)), opts()))
    counts = [1, 0, 0, 0 if opt is None else 1]
    tail = opt or b""
    odd = draw(st.sampled_from([""] * 20 + ["two", "behind", "count", "label", "pointer", "record", "cut", "long"]))
    if odd == "two":
        counts[0], question = 2, question * 2
    elif odd == "behind":
        tail += b"\0"
    elif odd == "count":
        counts[draw(st.integers(0, 3))] += draw(st.sampled_from([1, 255]))
    elif odd == "label":
        question = draw(st.sampled_from([b"\x41", b"\x80", b"\x40", b"\xbf"])) + question[1:]
    elif odd == "pointer":
        question = b"\xc0" + draw(st.sampled_from([b"\x0c", b"\0", b"\x0e"])) + asked
    elif odd == "record":
        counts[3] += 1
        tail += b"\0\0\x10\0\1\0\0\0\0\0\1\0"
    packet = bytes((third, fourth)) + b"".join(number.to_bytes(2) for number in counts) + question + tail
    if odd == "cut":
        return packet[: draw(st.integers(0, len(packet)))]
    return packet + bytes(draw(st.integers(100, 600))) if odd == "long" else packet


def questions() -> list[bytes]:
    """Return every kind of usual question, less its id."""
    found = []
    for labels in NAMES:
        for rtype in (1, 16, 65, 97, 255) if b"fine" in labels else (1, 65):
            for capitals in (0, 0x5A5A):
                question = spelled(labels, capitals) + rtype.to_bytes(2) + b"\0\1"
                for bits in (0, 0x20) if b"fine" in labels else (0,):
                    found.append(bytes((1, bits)) + b"\0\1\0\0\0\0\0\0" + question)
                    found += [
                        bytes((1, bits)) + b"\0\1\0\0\0\0\0\1" + question + b"\0\0\x29" + size + flags + b"\0\0"
                        for size, flags in ((b"\x02\x58", bytes(4)), (b"\x04\xd0", b"\0\0\x80\0"))
                    ]
    return found


SIBLINGS = [
    b"x", b"www", b"X1", b"_tcp", b"_8443", b"-", b"a-", b"-a", b"xn--0", b"xn--bcher-kva",
    "b\u00fccher".encode(), b"\xff", b"a.b",
    b"a\0", b" ", b"*", b"%61", b"a:1", b"[1]", b"1", b"0x7f", b"a_b", b"x" * 63, b"deny", b"other",
    "\u212a".encode(), b"@",
]  # fmt: skip


HEADS = [
    bytes((third, fourth))
    for third, fourth in [
        *((1, bits) for bits in (0, 0x10, 0x20, 0x30, 0x40, 0x80, 0xFF, 1)),
        *((bits, 0) for bits in (0, 3, 5, 9, 0x29, 0x79, 0x81)),
    ]
]
OPTS = [
    b"",
    *(b"\0\0\x29" + size.to_bytes(2) + bytes(6) for size in (0, 511, 512, 513, 700, 1231, 1232, 1233, 65535)),
    *(b"\0\0\x29\x04\xd0" + bytes(2) + flags + bytes(2) for flags in (b"\x80\0", b"\x40\0", b"\0\1", b"\xff\xff")),
    *(b"\0\0\x29\x04\xd0" + facts + bytes(4) for facts in (b"\1\0", b"\0\1", b"\0\xff", b"\1\1")),
    *(
        b"\0\0\x29\x04\xd0" + bytes(4) + length.to_bytes(2) + option
        for option in (b"\0\x0a\0\x08cookiesx", b"\0\x0c\0\0", b"\0\x0a\0\x08cut", b"\0\x0a\0")
        for length in (len(option) - 1, len(option), len(option) + 1)
    ),
    b"\1x\0\0\x29\x04\xd0" + bytes(6),
    b"\xc0\x0c\0\x29\x04\xd0" + bytes(6),
    b"\0\0\x28\x04\xd0" + bytes(6),
    b"\0\0\x29\x04\xd0" + bytes(5),
]


def variants(labels: tuple[bytes, ...], rtype: int) -> list[bytes]:
    """Return questions about one name that differ from the usual one in one or two facts."""
    usual_head, asked = b"\1\0", rtype.to_bytes(2) + b"\0\1"
    question = spelled(labels, 0) + asked
    others = [
        spelled(labels, 0x5A5A) + asked,
        *(spelled(labels, 0) + other.to_bytes(2) + b"\0\1" for other in (33, 65, 97, 0x4161, 0x6141, 255, 41, 252)),
        *(spelled(labels, 0) + rtype.to_bytes(2) + qclass for qclass in (b"\0\3", b"\0\xff", b"A\1", b"a\1")),
        *(bytes((first,)) + question[1:] for first in (0x40, 0x41, 0x80, 0xBF, 0xC0)),
        b"\xc0\x0c" + asked,
        b"\xc0\x00" + asked,
        spelled((b".".join(labels),), 0) + asked,
        spelled((*labels, b"\0"), 0) + asked,
    ]
    found = [(head, question, opt) for head in HEADS for opt in (b"", OPTS[7])]
    found += [(usual_head, question, opt) for opt in OPTS]
    found += [(usual_head, other, opt) for other in others for opt in (b"", OPTS[7])]
    packets = [head + b"\0\1\0\0\0\0" + (b"\0\1" if opt else b"\0\0") + asking + opt for head, asking, opt in found]
    good = packets[0]
    packets += [good + b"\0", good[:-1], good[:3] + b"\2" + good[4:], good[:3] + b"\2" + good[4:] + question]
    packets += [good[:at] + b"\1" + good[at + 1 :] for at in (2, 4, 5, 6, 7, 8, 9)]
    return packets
