"""`filterproxy config`: check a file, print the schema, print an example with every key."""

from __future__ import annotations

import typer

from .options import DEFAULT_CONFIG, Config


def app() -> typer.Typer:
    """Return the command group."""
    group = typer.Typer(no_args_is_help=True, help="Check the configuration, print its schema or an example.")
    for command in (check, schema, example):
        group.command()(command)
    return group


def check(config: Config = DEFAULT_CONFIG) -> None:
    """Say whether a configuration file can be used; the first error names the key and the reason, exit 2."""
    from filterproxy import app
    from filterproxy.settings import load

    settings = load(config)
    app.check(settings)
    print(f"{config}: fine ({len(settings.lists)} lists, {len(settings.profiles)} profiles)")


def schema() -> None:
    """Print the JSON schema of a configuration file."""
    import json

    from filterproxy.settings import Settings

    print(json.dumps(Settings.model_json_schema(), indent=2))


def example() -> None:
    """Print a configuration file with every key, its meaning and its default."""
    from filterproxy.settings.reference import example as text

    print(text(), end="")
