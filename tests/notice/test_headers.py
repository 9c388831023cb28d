"""The headers that every page carries."""

from __future__ import annotations

import base64
import hashlib

from filterproxy.notice.headers import content_policy, page_headers, style_hash


def test_a_page_may_load_nothing_but_its_style_and_post_to_one_place():
    """The policy allows one style and one form target, no script, no frame and no base."""
    policy = content_policy(style="'sha256-x'", form_action="http://notice.example")
    assert policy == (
        "default-src 'none'; style-src 'sha256-x'; form-action http://notice.example; "
        "frame-ancestors 'none'; base-uri 'none'"
    )


def test_a_style_is_named_by_its_digest():
    """The CSP source of a style is the SHA-256 of exactly its text."""
    digest = base64.b64encode(hashlib.sha256(b"a{}").digest()).decode()
    assert style_hash("a{}") == f"'sha256-{digest}'"


def test_pages_are_not_kept_sniffed_indexed_or_framed():
    """R1: no-store, nosniff, noindex, no referrer, no frame."""
    headers = dict(page_headers("p", language="de"))
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Robots-Tag"] == "noindex"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Content-Language"] == "de"
