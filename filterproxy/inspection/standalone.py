"""The filter under plain mitmdump: refuses everything until its configuration was read, and ends if it cannot be."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from mitmproxy import addonmanager, ctx, http
from mitmproxy.proxy import server_hooks

from filterproxy.errors import FilterproxyError
from filterproxy.settings import load

from . import guard
from .filter import HttpFilter
from .options import certificate_authority, options
from .quiet import quieten

log = logging.getLogger("filterproxy.inspection")

_OPTION = "filterproxy_config"
_DEFAULT = "config/filterproxy.toml"


class Refusing:
    """Stands in until there is a filter."""

    def http_connect(self, flow: http.HTTPFlow) -> None:
        flow.response = http.Response.make(503)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        flow.response = http.Response.make(503)

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        data.server.error = guard.HOOK_FAILED


class Standalone:
    """The addon that mitmdump loads; `build` makes the filter from the path of a configuration."""

    def __init__(self, build: Callable[[str], HttpFilter]) -> None:
        self._build = build
        self._built = False
        self.addons: list[object] = [Refusing()]

    def load(self, loader: addonmanager.Loader) -> None:
        """Add our option, and silence the rest before it says anything."""
        quieten()
        loader.add_option(_OPTION, str, _DEFAULT, "Path of filterproxy's configuration (TOML).")

    def configure(self, updated: set[str]) -> None:
        """Read the configuration, once."""
        if self._built or _OPTION not in updated:
            return
        path = getattr(ctx.options, _OPTION)
        try:
            settings = load(Path(path))
            found = self._build(path)
            certificate_authority(settings)
            # Who is served is our configuration's to say.
            ctx.options.update(flow_detail=0, block_global=False, **options(settings))
        except FilterproxyError as exc:
            self._give_up(str(exc))
        except Exception as exc:  # noqa: BLE001 - its text may hold an entry of a list
            self._give_up(f"cannot start ({type(exc).__name__})")
        else:
            self._built, self.addons = True, [found]

    @staticmethod
    def _give_up(why: str) -> NoReturn:
        log.error("filterproxy: %s", why)
        raise SystemExit(1)  # whatever asks mitmdump to end by itself would end it as a success
