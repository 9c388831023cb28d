"""JSON strings, quickly: the standard library's own C function, without building an object first."""

from __future__ import annotations

from json.encoder import encode_basestring_ascii

quoted = encode_basestring_ascii
"""Return a text as a JSON string in ASCII."""


def quoted_or_null(text: str | None) -> str:
    """Return a text as a JSON string, or null."""
    return "null" if text is None else encode_basestring_ascii(text)
