"""What agents, hooks and checks can see of this machine: a command line goes in, one that runs inside comes out.

`sandbox` is bubblewrap: namespaces of its own for processes and mounts, in which only the system's programs, toolchains and the
places that are named exist. `restrict` is Landlock: everything exists, only the named places can be opened. `none` is nothing.
What each contains, and what none does, is in docs/security.md.
"""

from __future__ import annotations

import os
import shutil
import subprocess  # noqa: TID251
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from opensymphony import landlock
from opensymphony.errors import ConfigurationError, Problem

Level = Literal["sandbox", "restrict", "none"]

_PROBE_S = 20
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store", "/gnu/store")
_KERNEL = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs")
_ETC = (
    *("alternatives", "bash.bashrc", "ca-certificates", "ca-certificates.conf", "crypto-policies", "debian_version"),
    *("environment", "fonts", "gai.conf", "gitconfig", "group", "host.conf", "hostname", "hosts", "inputrc", "java"),
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "locale.alias", "locale.conf", "localtime", "login.defs", "magic"),
    *("mime.types", "nsswitch.conf", "os-release", "passwd", "pki/tls/certs", "pki/ca-trust", "profile", "profile.d"),
    *("protocols", "resolv.conf", "services", "shells", "ssl/certs", "ssl/openssl.cnf", "terminfo", "timezone"),
)
"""Of /etc what programs need; nothing that holds keys or passwords."""
_TOOLCHAINS = ("JAVA_HOME", "GOROOT", "RUSTUP_HOME", "NVM_DIR", "PYENV_ROOT")
_CERTIFICATES = (
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS"),
)
_LANDLOCK_DEVICES = (
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
)


class View(Struct, frozen=True, kw_only=True):
    """What a program needs besides the system's own; absolute paths, those that are missing are left out."""

    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()


class Isolation(Struct, frozen=True, kw_only=True):
    """The level in force, and what the host's owner adds to every view."""

    level: Level = "none"
    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    """Never visible because a directory above it is on PATH or is a toolchain: the home of the user, the store."""

    def wrap(self, argv: Sequence[str], view: View, *, lasting: bool = False) -> list[str]:
        """The command line that runs `argv` inside. `lasting`: it goes on when who started it ends."""
        if self.level == "none":
            return list(argv)
        readable = _existing((*_toolchains(self.hidden), *self.readable, *view.readable))
        writable = _existing((*self.writable, *view.writable))
        if self.level == "sandbox":
            return [*_bubblewrap(readable, writable, lasting=lasting), "--", *argv]
        return [*_restricted(readable, writable), "--", *argv]

    def temporary_directory(self, home: str) -> str | None:
        """Where programs inside keep what is temporary; None: where they would anyway. `home` is their own."""
        if self.level == "sandbox":
            return "/tmp"
        return os.path.join(home, "tmp") if self.level == "restrict" else None

    def describe(self) -> str:
        """One line for a person."""
        match self.level:
            case "sandbox":
                return "sandbox: agents, hooks and checks see only their own places, and the network"
            case "restrict":
                return "restrict: agents, hooks and checks can open only their own places; they see other processes"
            case "none":
                return "none: agents run as this user and can read what this user can read"


NOT_ISOLATED = Isolation()


@cache
def hindrance(level: Level) -> str:
    """Why a level does not work on this machine, with what to do; empty when it does. Blocking, once."""
    if level == "sandbox":
        return _sandbox_hindrance()
    if level == "restrict" and landlock.abi() < 1:
        return "this kernel has no Landlock: it needs Linux 5.13 or newer, with landlock among its security modules"
    return ""


def best() -> Level:
    """The strongest level that works here."""
    return next(level for level in ("sandbox", "restrict", "none") if not hindrance(level))


def choose(wanted: Level | None, file: str) -> Level:
    """The wanted level, else the best one. Raises `ConfigurationError` when the wanted one does not work here."""
    if wanted is None:
        return best()
    why = hindrance(wanted)
    if why:
        raise ConfigurationError(
            [Problem(file=file, key="isolation", message=f"{wanted} does not work here: {why}", code="no_isolation")]
        )
    return wanted


def _sandbox_hindrance() -> str:
    program = shutil.which("bwrap")
    if program is None:
        return "bubblewrap is missing: install it (on Debian: apt-get install bubblewrap)"
    argv = [*_bubblewrap((), (), lasting=False), "--", "true"]
    try:
        done = subprocess.run(argv, capture_output=True, timeout=_PROBE_S, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{program} does not work ({error})"
    if done.returncode == 0:
        return ""
    said = " ".join(done.stderr.decode(errors="replace").split())[:200]
    return f"{program} does not work here ({said}): allow user namespaces (kernel.unprivileged_userns_clone, AppArmor)"


def _bubblewrap(readable: Sequence[str], writable: Sequence[str], *, lasting: bool) -> list[str]:
    argv = ["bwrap", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--cap-drop", "ALL"]
    if not lasting:
        argv.append("--die-with-parent")
    argv += ["--tmpfs", "/tmp", "--dev", "/dev", "--proc", "/proc"]
    for path in _KERNEL:
        argv += ["--ro-bind-try", path, path]  # root owns them, and needs no capability to write what is its own
    for path in _SYSTEM:
        if os.path.islink(path):
            argv += ["--symlink", os.readlink(path), path]
        else:
            argv += ["--ro-bind-try", path, path]
    for name in _ETC:
        argv += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for path in readable:
        argv += ["--ro-bind-try", path, path]
    for path in writable:
        argv += ["--bind-try", path, path]
    return [*argv, "--remount-ro", "/"]


def _restricted(readable: Sequence[str], writable: Sequence[str]) -> list[str]:
    etc = [f"/etc/{name}" for name in _ETC]
    rules = {
        "readable": [*_existing((*_SYSTEM, *etc, "/proc", "/sys/devices/system/cpu")), *readable],
        "writable": [*writable, *_existing(_LANDLOCK_DEVICES)],
    }
    # Isolated from the environment and without site: nothing of an agent's is imported before it is restricted.
    return [sys.executable, "-I", "-S", str(Path(landlock.__file__)), msgspec.json.encode(rules).decode()]


def _toolchains(hidden: Sequence[str]) -> list[str]:
    """Directories of PATH and of toolchains that are named in the environment, which programs inside are given too."""
    named = [*os.environ.get("PATH", "").split(os.pathsep), *(os.environ.get(name, "") for name in _TOOLCHAINS)]
    named += [os.environ.get(name, "") for name in _CERTIFICATES]
    return [path for path in named if os.path.isabs(path) and not any(_holds(path, one) for one in hidden)]


def _holds(directory: str, path: str) -> bool:
    """Whether a directory is that path, or above it, by whatever name."""
    inner, outer = os.path.realpath(path), os.path.realpath(directory)
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")


def _existing(paths: Sequence[str]) -> list[str]:
    """What is there, each once: by its own name, which programs were told, and by the one that links lead to."""
    found: list[str] = []
    for path in paths:
        if not os.path.exists(path):
            continue
        real = os.path.realpath(path)
        found.append(real)
        # Below a place that is visible as a whole the link itself is there.
        if real != path and not any(_is_below(path, other) for other in paths if other != path):
            found.append(path)
    return list(dict.fromkeys(found))


def _is_below(path: str, directory: str) -> bool:
    return path.startswith(directory.rstrip("/") + "/")
