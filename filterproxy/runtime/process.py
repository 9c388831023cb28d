"""What the kernel is asked of a process of ours: no core dumps, no way back to root, death with its parent."""

from __future__ import annotations

import ctypes
import errno
import os
import pwd
import resource
import signal
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from filterproxy.errors import ConfigError

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38


@dataclass(frozen=True)
class User:
    """A Unix user to become."""

    name: str
    uid: int
    gid: int

    @property
    def ids(self) -> tuple[int, int]:
        """The user's and the group's number."""
        return self.uid, self.gid


def user_to_become(name: str) -> User | None:
    """Return the user of `[runtime] user`, or None where this process stays who it is. Raises ConfigError."""
    if not name or os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam(name)
    except KeyError as exc:
        raise ConfigError(f"runtime.user: there is no user {name}") from exc
    if found.pw_uid == 0:
        raise ConfigError("runtime.user: name a user other than root")
    return User(name, found.pw_uid, found.pw_gid)


def check_runs(user: User, environment: dict[str, str]) -> None:
    """Raise ConfigError where `user` could not run this Python with this package: no child would ever start."""
    command = [sys.executable, "-P", "-c", "import filterproxy"]
    try:
        found = subprocess.run(
            command,
            user=user.uid,
            group=user.gid,
            extra_groups=[],
            env=environment,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        well = found.returncode == 0
    except OSError:
        well = False
    if not well:
        raise ConfigError(
            f"runtime.user: {user.name} cannot run {sys.executable}; install filterproxy where that user may read"
        )


def become(user: User) -> None:
    """Become `user` for good: supplementary groups, group and user, all three ids of each.

    Raises RuntimeError where root could be had back; then the process must not go on.
    """
    os.setgroups([])
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
    for attempt in (os.setuid, os.setgid, os.setegid, os.seteuid):
        try:
            attempt(0)
        except PermissionError:
            continue
        raise RuntimeError("privileges could be taken back")
    if os.getresuid() != (user.uid,) * 3 or os.getresgid() != (user.gid,) * 3 or os.getgroups():
        raise RuntimeError("privileges were not dropped")


def harden() -> None:
    """Forbid core dumps, being read by ptrace, and gaining privileges by executing a file.

    A core would hold lists and keys in clear. Not dumpable is undone by exec, so every child asks for itself.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def die_with(parent: int) -> None:
    """Have this process killed when its parent process `parent` ends; exit at once if it has ended already."""
    _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(1)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def give_back() -> None:
    """Return to the system what this process has freed: glibc would keep most of what the reading of a list took."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # other C libraries keep little
        trim(0)


def more_descriptors() -> None:
    """Raise this process's limit of open descriptors as far as it may: each client costs one, or two."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def own_folder(folder: Path, user: User | None) -> None:
    """Make `folder` one that only its owner can enter (0700), owned by `user` where one is given.

    What root kept in it before is handed over too. Only a folder that is still root's own is walked, since nobody
    else could have planted a link there. Raises ConfigError where the folder belongs to somebody else.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as exc:
        raise ConfigError(f"runtime.state: {folder}: {exc.strerror}") from exc
    try:
        owner = os.fstat(handle).st_uid
        if owner not in {os.geteuid(), *([user.uid] if user else [])}:
            raise ConfigError(f"runtime.state: {folder} belongs to another user")
        _close_to_others(handle, folder)
        if user is not None and owner == 0:
            _hand_over(handle, user)
    finally:
        os.close(handle)


def _close_to_others(handle: int, folder: Path) -> None:
    if stat.S_IMODE(os.fstat(handle).st_mode) == 0o700:
        return  # nothing to change, also where nothing can be
    try:
        os.fchmod(handle, 0o700)
    except OSError as exc:
        advice = "; mount a volume there" if exc.errno == errno.EROFS else ""
        raise ConfigError(f"runtime.state: {folder} cannot be closed to others: {exc.strerror}{advice}") from exc


def _hand_over(handle: int, user: User) -> None:
    """Give all that lies below the folder `handle`, and at last the folder itself, to `user`."""
    for _, folders, files, inside in os.fwalk(dir_fd=handle, follow_symlinks=False):
        for name in (*folders, *files):
            found = os.stat(name, dir_fd=inside, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode) or found.st_nlink == 1:
                os.chown(name, *user.ids, dir_fd=inside, follow_symlinks=False)
    os.fchown(handle, *user.ids)
