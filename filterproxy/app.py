"""The composition root: settings in, the running product out. addons/http_filter.py is its second door."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from filterproxy.errors import ConfigError, SecretError
from filterproxy.keys import Keys
from filterproxy.settings import Settings, load

if TYPE_CHECKING:
    from filterproxy.core.model import Verdict
    from filterproxy.core.policy import Policy
    from filterproxy.inspection import HttpFilter
    from filterproxy.runtime.process import User
    from filterproxy.settings.service import Encrypted, Transfer

ROLES = frozenset({"control", "edge", "inspector"})


def run(
    settings: Settings, roles: frozenset[str] = ROLES, on_ready: Callable[[], None] = lambda: None,
    read: Callable[[], Settings] | None = None,
) -> None:  # fmt: skip
    """Run the product until SIGTERM or SIGINT; `on_ready` is called once, when every process serves.

    `read` reads the configuration anew (SIGHUP); without it only lists are read again then. Raises ConfigError or
    SecretError, one line each, where it cannot start; then nothing runs.
    """
    from filterproxy.runtime import capabilities, logs, process, sockets
    from filterproxy.runtime.children import environment
    from filterproxy.runtime.supervisor import Bound, Supervisor

    logs.set_up(settings.log.level, settings.log.format, "supervisor")
    started = _checked(settings, roles)
    user = process.user_to_become(settings.runtime.user)
    if user is not None:
        process.check_runs(user, environment())
    process.own_folder(settings.runtime.state, user)
    with _alone(settings.runtime.state, user):
        process.more_descriptors()
        capabilities.raise_bind()
        bound = Bound(sockets.bind(settings, started))
        try:
            keys = Keys.open_or_create(settings.keys_folder, user.ids if user else None)
            keeps = settings.gateway.enabled and settings.gateway.keep_source and "edge" in started
            if keeps:
                capabilities.stay_permitted()
            _drop(user)
            if not keeps:
                capabilities.give_up()
            elif not capabilities.keep_raw():
                raise ConfigError("gateway.keep_source: takes root, or the capability NET_RAW, at the start")
            process.harden()
            with sockets.unix(settings.runtime.state / "control.sock") as control:
                again = None if read is None else partial(_again, read, roles)
                asyncio.run(Supervisor(settings, roles, keys, bound, again).run(control, on_ready))
            (settings.runtime.state / "control.sock").unlink(missing_ok=True)
        finally:
            bound.sockets.close()


def _checked(settings: Settings, roles: frozenset[str]) -> frozenset[str]:
    """Return which of `roles` these settings ask for. Raises ConfigError where they could not be run."""
    from filterproxy.runtime.places import places

    check(settings)
    started = frozenset(role for role, _ in places(settings, roles))
    if "inspector" in started and find_spec("mitmproxy") is None:
        raise ConfigError("inspection.enabled: mitmproxy is not installed here; set it to false, or install mitmproxy")
    return started


def _again(read: Callable[[], Settings], roles: frozenset[str]) -> Settings:
    """Return the configuration as it is now. Raises ConfigError where it could not be run."""
    settings = read()
    _checked(settings, roles)
    return settings


def check(settings: Settings) -> None:
    """Raise ConfigError for what only the lists' own code can tell: entries, keys and guards that mean nothing."""
    from filterproxy.dns.local import check_records
    from filterproxy.dns.upstreams.links import tls_context
    from filterproxy.errors import SourceError
    from filterproxy.lists import guard, sources
    from filterproxy.lists.own import compile_own
    from filterproxy.runtime import process

    guard.check(settings)
    try:
        check_records(settings.dns.records)
    except ValueError as exc:
        raise ConfigError(str(exc)) from None
    if settings.dns.upstream_ca is not None:
        tls_context(settings.dns.upstream_ca)
    if settings.dns.encrypted.enabled:
        _check_certificate("dns.encrypted", settings.dns.encrypted, process.user_to_become(settings.runtime.user))
    if settings.dns.transfer.listen:
        _check_transfer(settings)
    for number, table in enumerate(settings.lists):
        try:
            if table.signed.key:
                sources.Key.of(table.signed.key)
        except SourceError as exc:
            raise ConfigError(f"lists.{number}.{exc}") from None
    for _ in compile_own(settings, bytes(32)):
        pass


def _check_transfer(settings: Settings) -> None:
    """Raise ConfigError where zones could not be given: the keys of receivers, and what the service is known by."""
    from filterproxy.dns.transfer import receivers
    from filterproxy.runtime import process

    user, table = process.user_to_become(settings.runtime.user), settings.dns.transfer
    receivers.read(settings, user.uid if user else None)
    _check_certificate("dns.transfer", table, user)


def _check_certificate(where: str, table: Encrypted | Transfer, user: User | None) -> None:
    """Raise ConfigError where a service of that table could not be reached over TLS once we run as `user`."""
    from filterproxy.dns import tls

    if table.certificate is None or table.key is None:
        return
    try:
        tls.load(table.certificate, table.key, ("dot",))
    except tls.UnfitError as exc:
        raise ConfigError(f"{where}.certificate, key: {exc}") from None
    if user is not None and table.key.stat().st_uid != user.uid:
        raise ConfigError(f"{where}.key: {table.key} belongs to another user than {user.name}: chown it")


def _drop(user: User | None) -> None:
    from filterproxy.runtime import logs, process

    log = logging.getLogger(__name__)
    if user is not None:
        process.become(user)
        logs.event(log, logging.INFO, "privileges_dropped", user=user.name)
    elif os.geteuid() == 0:
        log.warning("running_as_root_set_runtime_user")


@contextmanager
def _alone(state: Path, user: User | None) -> Iterator[None]:
    """Hold the state folder's lock. Raises ConfigError where another product holds it."""
    try:
        handle = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        advice = "; mount a volume there" if exc.errno == errno.EROFS else ""
        raise ConfigError(f"runtime.state: {state} cannot be written: {exc.strerror}{advice}") from exc
    try:
        if user is not None:
            os.fchown(handle, *user.ids)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            holder = os.read(handle, 20).decode("ascii", "replace").strip()
            raise ConfigError(f"runtime.state: filterproxy runs already on {state} (process {holder or '?'})") from exc
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def policy_in_force(settings: Settings) -> Policy:
    """Return what the running product judges by; where none runs, what these settings would put in force now.

    Raises ControlError where it runs and this user may not ask it.
    """
    from filterproxy.core.bundle import Segment
    from filterproxy.lists import publish
    from filterproxy.lists.offline import compile_all
    from filterproxy.lists.resealing import made_under
    from filterproxy.lists.seals import Opening, Seals
    from filterproxy.runtime import client

    state = settings.runtime.state
    if client.runs(state):
        data, buffers, key = client.bundle(state)
        manifest = publish.Manifest.from_dict(data)
        if {status.list_id for status in manifest.statuses} == {table.id for table in settings.lists}:
            segments = [Segment.from_buffer(buffers[part.file]) for part in manifest.parts]
            return publish.policy_of(settings, segments, key, manifest.generation, manifest.loaded(), manifest.ended)
        # A relative state folder is that of the working directory: what runs there is another configuration.
        logging.getLogger(__name__).warning("what runs on %s has other lists than this file, which is read anew", state)
        return compile_all(settings, Seals.passing())
    try:
        keys = Keys.open(settings.keys_folder)
    except SecretError:  # nothing was ever kept under these keys that could be used here
        return compile_all(settings, Seals.passing())
    keys = keys.under(made_under(state, keys))
    return compile_all(settings, Seals.of(keys), Opening.of(keys))


def standalone_filter(path: str) -> HttpFilter:
    """Return the mitmproxy addon for the configuration file `path`, for a mitmproxy that somebody else started.

    Lists are compiled in memory, once; a refused one is taken from the bundle on disk. Raises FilterproxyError.
    """
    from filterproxy.inspection import HttpFilter
    from filterproxy.lists.offline import compile_all
    from filterproxy.lists.resealing import made_under
    from filterproxy.lists.seals import Opening, Seals
    from filterproxy.notice.render import Notices
    from filterproxy.notice.token import Sealer

    settings = load(Path(path))
    keys = Keys.open_or_create(settings.keys_folder)
    keys = keys.under(made_under(settings.runtime.state, keys))
    policy = compile_all(settings, Seals.of(keys), Opening.of(keys))
    notices = Notices(settings.operator, settings.portal.url, Sealer(keys.token_public))
    return HttpFilter(settings, lambda: policy, notices, _Uncounted(), lambda: datetime.now(UTC), keys.mac)


class _Uncounted:
    """Counts nothing: there is no supervisor to tell."""

    def verdict(self, frontend: str, verdict: Verdict) -> None:
        """Forget it."""

    def event(self, name: str) -> None:
        """Forget it."""
