"""Asking upstreams: over UDP, TCP, TLS and HTTPS, the fastest first.

Whoever would forge an answer must guess port, id and the case of every letter before the true answer comes (RFC 5452).
"""

from __future__ import annotations

from .choice import Upstreams

__all__ = ["Upstreams"]
