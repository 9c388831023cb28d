"""The headers of every page we make: nothing is loaded from elsewhere, nothing is kept, nothing is framed."""

from __future__ import annotations

import base64
import hashlib


def content_policy(*, style: str, form_action: str) -> str:
    """Return a Content-Security-Policy that lets a page have one style and post to one place, and nothing else."""
    return f"default-src 'none'; style-src {style}; form-action {form_action}; frame-ancestors 'none'; base-uri 'none'"


def style_hash(style: str) -> str:
    """Return the CSP source of an inline style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'"


def page_headers(policy: str, *, language: str = "en", referrer: str = "no-referrer") -> tuple[tuple[str, str], ...]:
    """Return the headers of an HTML page that must not be kept, indexed, framed or sniffed."""
    return (
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Language", language),
        ("Vary", "Accept-Language"),
        ("Cache-Control", "no-store"),
        ("Content-Security-Policy", policy),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", referrer),
        ("X-Robots-Tag", "noindex"),
        ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
    )
