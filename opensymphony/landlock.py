"""Landlock: a process gives up every file that it is not told, for itself and whatever it starts, and cannot take that back.

Run as a program (`landlock.py RULES -- PROGRAM ...`) it restricts itself and becomes the other program; so it imports nothing
but the standard library. Numbers are those of the kernel's interface (linux/landlock.h).
"""

from __future__ import annotations

import ctypes
import json
import os
import stat
import sys
import warnings

_NEEDED_LATER = (warnings,)
"""`os.execvp` would look for it when it can be read no more."""
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1 << 0
_PATH_BENEATH = 1
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITIES_MAX = 64

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_SCOPES = (1 << 0) | (1 << 1)
"""Abstract sockets and signals: only among those that are restricted alike."""


class _Ruleset(ctypes.Structure):
    _fields_ = [("handled_fs", ctypes.c_uint64), ("handled_net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def abi() -> int:
    """The version of the kernel's interface; below 1 where there is none."""
    if sys.platform != "linux":
        return 0
    return int(_system().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION))


def restrict(readable: list[str], writable: list[str]) -> None:
    """From now on only these can be opened, by us and by whatever we start, which has no capabilities. Raises `OSError`."""
    version = abi()
    handled = (1 << 13) - 1
    handled |= _REFER if version >= 2 else 0
    handled |= _TRUNCATE if version >= 3 else 0
    handled |= _IOCTL_DEV if version >= 5 else 0
    scoped = _SCOPES if version >= 6 else 0
    attributes = _Ruleset(handled, 0, scoped)
    size = 8 if version < 4 else 16 if version < 6 else 24
    system = _system()
    ruleset = _checked(system.syscall(_CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(size), 0))
    for paths, allowed in ((readable, _READ), (writable, handled)):
        for path in paths:
            _allow(system, ruleset, path, allowed & handled)
    if os.geteuid() == 0:
        # The next program has none: among them are some before which restrictions, and the secrets of others, do not hold.
        for capability in range(_CAPABILITIES_MAX):
            system.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    _checked(system.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(system.syscall(_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def _allow(system: ctypes.CDLL, ruleset: int, path: str, allowed: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            allowed &= _OF_FILES
        rule = _Beneath(allowed, descriptor)
        _checked(system.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(descriptor)


def _system() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def main(arguments: list[str]) -> None:
    """Restrict ourselves and become the program behind `--`."""
    rules, separator, *argv = arguments
    assert separator == "--"
    told = json.loads(rules)
    try:
        restrict(told["readable"], told["writable"])
        os.execvp(argv[0], argv)
    except OSError as error:
        print(f"{argv[0]}: {error.filename or 'landlock'}: {error.strerror}", file=sys.stderr)  # noqa: T201
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
