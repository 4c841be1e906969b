"""The system account the embedded Postgres runs under, because Postgres refuses to run as root.

Anybody but root runs it as themselves. Root runs it as a system account of its own, which owns the
data directory and gets the right to pass through (not to list, not to read) the folders above it.
"""

import contextlib
import errno
import os
import pwd
import stat
import struct
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NAME = "wiser-fhir"
_ACL = "system.posix_acl_access"
_ENTRY = struct.Struct("<HHI")  # tag, permissions, id
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_NO_ID = 0xFFFFFFFF


class NoAccount(RuntimeError):
    """The server cannot be run under an account of its own; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who the server runs as. `switch` when that is somebody else than this process."""

    uid: int
    gid: int
    switch: bool

    def popen_arguments(self) -> dict[str, Any]:
        """What `subprocess` needs to become this account."""
        if not self.switch:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, folder: Path) -> None:
        """Make `folder`, its owner's alone, and reachable for the account. Raises NoAccount."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid not in (self.uid, os.geteuid()):
            raise NoAccount(f"{folder} belongs to somebody else")
        if self.switch:
            os.chown(folder, self.uid, self.gid)
        folder.chmod(0o700)
        self.reach(folder)

    def reach(self, folder: Path) -> None:
        """Let the account pass through the folders above `folder`. Raises NoAccount."""
        if not self.switch:
            return
        for above in folder.resolve().parents:
            if not self._may_pass(above):
                self._let_pass(above)

    def _may_pass(self, folder: Path) -> bool:
        status = folder.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        entries = _read_acl(folder)
        mask = _mask(entries)  # which a chmod by somebody else may have narrowed
        return bool(status.st_mode & stat.S_IXOTH) or any(
            tag == _USER and number == self.uid and bits & mask & 1 for tag, bits, number in entries
        )

    def _let_pass(self, folder: Path) -> None:
        # An access list entry for one account, where chmod would open the folder to everybody.
        entries = [e for e in _read_acl(folder) if (e[0], e[2]) != (_USER, self.uid)]
        mask = _mask(entries) | 1
        entries = [(t, mask if t == _MASK else b, n) for t, b, n in entries]
        entries = sorted([*entries, (_USER, 1, self.uid)], key=lambda e: (e[0], e[2]))
        packed = struct.pack("<I", 2) + b"".join(_ENTRY.pack(*entry) for entry in entries)
        try:
            os.setxattr(folder, _ACL, packed)
        except (OSError, AttributeError) as refused:
            raise NoAccount(
                f"running as root, Postgres runs as the account {_NAME}, which may not pass through"
                f" {folder}: use a folder it can reach, or run as an ordinary user"
            ) from refused


def server_account() -> Account:
    """The account to run Postgres under; made when this process is root. Raises NoAccount."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), switch=False)
    for _ in range(20):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(_NAME)
            return Account(entry.pw_uid, entry.pw_gid, switch=True)
        if not _add_account():
            time.sleep(0.1)  # another command is making it
    raise NoAccount(f"cannot make the system account {_NAME}: make it, or run as an ordinary user")


def _add_account() -> bool:
    command = ["useradd", "--system", "--user-group", "--no-create-home", _NAME]
    try:
        done = subprocess.run(command, check=False, capture_output=True)  # noqa: S603
    except FileNotFoundError as missing:
        raise NoAccount(f"no useradd here: make the account {_NAME}, or run as a user") from missing
    return done.returncode == 0


def _read_acl(folder: Path) -> list[tuple[int, int, int]]:
    """The access list of `folder`, with a mask; made from its mode where it has none."""
    try:
        packed = os.getxattr(folder, _ACL)
    except (OSError, AttributeError) as none:
        if isinstance(none, OSError) and none.errno not in (errno.ENODATA, errno.ENOTSUP):
            raise
        return list(_from_mode(folder.stat().st_mode))
    entries = list(_ENTRY.iter_unpack(packed[4:]))
    if not any(tag == _MASK for tag, _, _ in entries):
        group = next(bits for tag, bits, _ in entries if tag == _GROUP_OBJ)
        entries.append((_MASK, group, _NO_ID))
    return entries


def _mask(entries: list[tuple[int, int, int]]) -> int:
    return next(bits for tag, bits, _ in entries if tag == _MASK)


def _from_mode(mode: int) -> Iterator[tuple[int, int, int]]:
    group = mode >> 3 & 7
    yield (_USER_OBJ, mode >> 6 & 7, _NO_ID)
    yield (_GROUP_OBJ, group, _NO_ID)
    yield (_MASK, group, _NO_ID)
    yield (_OTHER, mode & 7, _NO_ID)
