"""Reading a configuration file: one error, one line, the key first."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import ValidationError

from filterproxy.errors import ConfigError

from .root import Settings

_LIMIT = 16 * 1024 * 1024


def load(path: Path) -> Settings:
    """Return the settings in the TOML file `path`. Raises ConfigError naming the key and the reason."""
    try:
        with path.open("rb") as file:
            text = file.read(_LIMIT + 1)
    except OSError as exc:
        raise ConfigError(f"{path}: {exc.strerror or exc}") from exc
    if len(text) > _LIMIT:
        raise ConfigError(f"{path}: larger than {_LIMIT} bytes")
    try:
        return load_text(text.decode())
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: not UTF-8") from exc
    except ConfigError as exc:
        raise ConfigError(f"{path}: {exc}") from exc


def load_text(text: str) -> Settings:
    """Return the settings in the TOML `text`. Raises ConfigError naming the key and the reason."""
    try:
        return Settings.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"not TOML: {exc}") from exc
    except RecursionError:
        raise ConfigError("not TOML: nested too deeply") from None
    except ValidationError as exc:
        raise ConfigError(_first(exc)) from exc
    except ValueError as exc:  # a number of thousands of digits, which the TOML reader lets Python refuse
        raise ConfigError(f"not TOML: {exc}") from exc


def _first(error: ValidationError) -> str:
    """Say what is wrong in one line: the first error, and how many more there are."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    first = problems[0]
    key = ".".join(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        reason = "unknown key"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return (f"{key}: {reason}" if key else reason) + more
