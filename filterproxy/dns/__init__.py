"""The DNS filter: answers what a list blocks, asks upstreams for the rest, and judges what they say."""

from .resolver import Count, Resolver
from .server import Serving, serve

__all__ = ["Count", "Resolver", "Serving", "serve"]
