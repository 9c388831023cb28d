"""`filterproxy admin`: what the operator of an installation does to it, asked of the running product."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import DEFAULT_CONFIG, Config

_LONGEST = 3600.0
"""Seconds: a digest key's rotation compiles every list anew."""


def app() -> typer.Typer:
    """Return the command group."""
    group = typer.Typer(no_args_is_help=True, help="The installation itself.")
    group.callback()(_group)
    group.command()(rotate_key)
    return group


def _group() -> None:
    """The installation itself."""


def rotate_key(
    name: Annotated[str, typer.Argument(metavar="digest|patterns|sealing|token|signing", help="Which key.")],
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Replace a key of the running product by a new one, without an outage; it is in force when this returns.

    Only root and the product's own user may. Make a new backup of the key folder afterwards.
    """
    from filterproxy.runtime.client import ask
    from filterproxy.settings import load

    print(ask(load(config).runtime.state, {"do": "rotate-key", "key": name}, timeout=_LONGEST)["said"])
