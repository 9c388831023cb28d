from __future__ import annotations

import base64
from contextlib import suppress
from hashlib import blake2b

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from filterproxy.errors import SourceError
from filterproxy.lists.sources.memory import kept
from filterproxy.lists.sources.signatures import Key

SECRET = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
PUBLIC = SECRET.public_key().public_bytes_raw()
NUMBER = b"12345678"
LIST = b"a.example\nb.example\n"
MINISIGN = base64.b64encode(b"Ed" + NUMBER + PUBLIC).decode()
BARE = base64.b64encode(PUBLIC).decode()


def _pem(key):
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def minisigned(body=LIST, *, secret=SECRET, number=NUMBER, kind=b"ED", comment=b"timestamp:1", said=None):
    """Return what `minisign -S` writes."""
    signature = secret.sign(blake2b(body).digest() if kind == b"ED" else body)
    whole = base64.b64encode(secret.sign(signature + (said or comment)))
    first = base64.b64encode(kind + number + signature)
    return b"untrusted comment: by us\n" + first + b"\ntrusted comment: " + comment + b"\n" + whole + b"\n"


def _check(key, signature, body=LIST):
    content = kept([body], 1000)
    try:
        Key.of(key).check(content, signature)
    finally:
        content.close()


@pytest.mark.parametrize("key", [MINISIGN, f"untrusted comment: minisign public key 1\n{MINISIGN}\n"])
@pytest.mark.parametrize("kind", [b"ED", b"Ed"])
def test_a_list_signed_with_minisign_is_taken(key, kind):
    """Prehashed as it is made today, and as it was before; the key with or without its comment."""
    _check(key, minisigned(kind=kind))
    _check(key, minisigned(kind=kind).replace(b"\n", b"\r\n"))
    _check(key, minisigned(b"", kind=kind), b"")
    assert Key.of(key).suffix == ".minisig"


def test_a_signature_that_minisign_itself_made_is_taken():
    """The vector of its own libraries: a file that holds `test`."""
    key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"
    lines = [
        "untrusted comment: signature from minisign secret key",
        "RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=",
        "trusted comment: timestamp:1556193335\tfile:test",
        "y/rUw2y8/hOUYjZU71eHp/Wo1KZ40fGy2VJEDl34XMJM+TX48Ss/17u3IvIfbVR1FkZZSNCisQbuQY+bHwhEBg==",
    ]
    _check(key, "\n".join(lines).encode(), b"test")
    with pytest.raises(SourceError, match="does not fit"):
        _check(key, "\n".join(lines).encode(), b"Test")


@pytest.mark.parametrize("key", [BARE, f" {BARE}\n", _pem(SECRET.public_key())])
def test_a_list_signed_with_a_bare_key_is_taken(key):
    """The signature as 64 bytes or in base64."""
    signature = SECRET.sign(LIST)
    _check(key, signature)
    _check(key, base64.b64encode(signature) + b"\n")
    _check(key, SECRET.sign(b""), b"")
    assert Key.of(key).suffix == ".sig"


@pytest.mark.parametrize(("signature", "reason"), [
    (minisigned(b"c.example\n"), "does not fit"),
    (minisigned(b"c.example\n", kind=b"Ed"), "does not fit"),
    (minisigned(secret=OTHER), "does not fit"),
    (minisigned(number=b"87654321"), "another key"),
    (minisigned(said=b"timestamp:2"), "does not fit"),
    (minisigned(kind=b"Ex"), "form"),
    (minisigned() + b"more\n", "form"),
    (minisigned().replace(b"untrusted", b"trusted", 1), "form"),
    (minisigned().replace(b"=", b"!"), "form"),
    (SECRET.sign(LIST), "form"),
    (b"", "form"),
])  # fmt: skip
def test_what_minisign_would_not_take_is_refused(signature, reason):
    """Another list, key, number or comment, and what is no signature."""
    with pytest.raises(SourceError, match=reason):
        _check(MINISIGN, signature)


@pytest.mark.parametrize(
    "signature", [OTHER.sign(LIST), SECRET.sign(LIST + b"c"), b"", b"x" * 63, minisigned(), b"\xff" * 90]
)
def test_what_a_bare_key_did_not_sign_is_refused(signature):
    """Neither another's signature nor another form."""
    with pytest.raises(SourceError):
        _check(BARE, signature)


@pytest.mark.parametrize("key", [
    "", "x", BARE[:-4], BARE + BARE, MINISIGN[:-4], "comment\n" + MINISIGN, "ä", "\udc80", "-----BEGIN PUBLIC KEY-----",
    _pem(ec.generate_private_key(ec.SECP256R1()).public_key()),
    "-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----",
])  # fmt: skip
def test_a_key_that_is_none_is_refused(key):
    """The message names the setting."""
    with pytest.raises(SourceError, match=r"^signed\.key: "):
        Key.of(key)


SMALL = [
    (1).to_bytes(32, "little"), bytes(32), (2**255 - 20).to_bytes(32, "little"), (2**255 - 18).to_bytes(32, "little"),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
]  # fmt: skip


@pytest.mark.parametrize("point", SMALL)
@pytest.mark.parametrize("sign", [0, 128])
def test_a_key_under_which_anybody_could_sign_is_refused(point, sign):
    """A point of small order, however it is written: a signature of nobody's holds under it, over anything."""
    point = point[:-1] + bytes([point[-1] | sign])
    for text in (base64.b64encode(point), base64.b64encode(b"Ed" + bytes(8) + point)):
        with pytest.raises(SourceError, match=r"^signed\.key: "):
            Key.of(text.decode())


@given(st.binary(max_size=300), st.integers(0, 300))
def test_any_bytes_are_no_signature(body, at):
    """Whatever stands in a signature file, also beside parts of a good one, only SourceError is raised."""
    for key, good in ((MINISIGN, minisigned()), (BARE, SECRET.sign(LIST))):
        for signature in (body, good[:at] + body, good[:at] + body + good[at + len(body) :]):
            with suppress(SourceError):
                _check(key, signature)
                assert signature.strip() == good.strip() or b"comment" in signature


@given(st.text(max_size=100))
def test_any_text_is_a_key_or_refused(text):
    """A setting is a key or a SourceError, and what it checks is refused alike."""
    with suppress(SourceError):
        _check(text, SECRET.sign(LIST))
    with suppress(SourceError):
        _check(base64.b64encode(text.encode("utf-8", "replace").ljust(32)[:32]).decode(), SECRET.sign(LIST))
