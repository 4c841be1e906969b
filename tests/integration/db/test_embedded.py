"""Any command may start the server, the last one out stops it, a killed one leaves it be."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest

from wiser_fhir.db.embedded import Embedded

USER = """
import sys
from pathlib import Path
from wiser_fhir.db.embedded import Embedded
with Embedded.start(Path(sys.argv[1])):
    print("up", flush=True)
    sys.stdin.read()
print("left", flush=True)
"""


class User:
    """Another process that uses the server of a data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_until_up(self) -> "User":
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "up\n"
        return self

    def leave(self) -> None:
        self.process.communicate("", timeout=30)
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=30)


@pytest.fixture
def place(shared_folder: Path) -> Path:
    """A folder of the test's own. Not pytest's: every run of it closes the common one above."""
    return Path(tempfile.mkdtemp(dir=shared_folder))


@pytest.fixture(scope="module")
def made(shared_folder: Path) -> Path:
    """A data directory whose cluster exists and whose server is stopped."""
    folder = Path(tempfile.mkdtemp(dir=shared_folder)) / "data"
    Embedded.start(folder).stop()
    return folder


@pytest.fixture
def data_dir(made: Path, place: Path) -> Iterator[Path]:
    """The same in a folder of the test's own."""
    folder = place / "data"
    subprocess.run(["cp", "-a", str(made), str(folder)], check=True)
    yield folder
    Embedded.start(folder).stop()
    shutil.rmtree(folder)


def listens(data_dir: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(os.fspath(Embedded(data_dir)._socket_dir / ".s.PGSQL.5432")) == 0


def answers(data_dir: Path) -> bool:
    async def ask() -> bool:
        connection = await asyncpg.connect(Embedded(data_dir).urls().app)
        value = await connection.fetchval("select 1")
        await connection.close()
        return bool(value == 1)

    return asyncio.run(ask())


def setting(server: Embedded, name: str) -> str:
    async def ask() -> str:
        connection = await asyncpg.connect(server.urls().app)
        value: str = await connection.fetchval(f"show {name}")
        await connection.close()
        return value

    return asyncio.run(ask())


def test_the_last_one_out_stops_it(data_dir: Path) -> None:
    first, second = User(data_dir).wait_until_up(), User(data_dir).wait_until_up()
    first.leave()
    assert answers(data_dir)
    second.leave()
    assert not listens(data_dir)


def test_a_killed_user_leaves_it_to_the_others(data_dir: Path) -> None:
    first, second = User(data_dir).wait_until_up(), User(data_dir).wait_until_up()
    first.kill()
    assert answers(data_dir)
    second.leave()
    assert not listens(data_dir)


def test_a_server_left_by_a_killed_user_is_found_and_stopped_by_the_next(data_dir: Path) -> None:
    User(data_dir).wait_until_up().kill()
    assert answers(data_dir)
    with Embedded.start(data_dir):
        assert answers(data_dir)
    assert not listens(data_dir)


def test_two_first_starts_at_the_same_instant_share_one_server(place: Path) -> None:
    data_dir = place / "new"
    users = [User(data_dir), User(data_dir)]
    for user in users:
        user.wait_until_up()
    assert answers(data_dir)
    for user in users:
        user.leave()
    assert not listens(data_dir)


def test_one_process_may_use_it_twice(data_dir: Path) -> None:
    with Embedded.start(data_dir):
        with Embedded.start(data_dir):
            pass
        assert answers(data_dir)
    assert not listens(data_dir)


def test_leaving_twice_is_leaving_once(data_dir: Path) -> None:
    with Embedded.start(data_dir):
        other = Embedded.start(data_dir)
        other.stop()
        other.stop()
        assert answers(data_dir)


def test_after_a_crash_of_postgres_itself_it_starts_again(data_dir: Path) -> None:
    user = User(data_dir).wait_until_up()
    postmaster = int((data_dir / "postgres/postmaster.pid").read_text().split("\n")[0])
    os.kill(postmaster, signal.SIGKILL)
    while listens(data_dir):
        time.sleep(0.05)
    with Embedded.start(data_dir):
        assert answers(data_dir)
    assert answers(data_dir)  # the first user still holds its share
    user.leave()
    assert not listens(data_dir)


def test_a_pid_file_naming_another_living_process_does_not_stop_a_start(data_dir: Path) -> None:
    sleeper = subprocess.Popen(["sleep", "60"])
    pid_file = data_dir / "postgres/postmaster.pid"
    pid_file.write_text(f"{sleeper.pid}\n{data_dir / 'postgres'}\n1700000000\n5432\n\n\n1 1\n")
    owner = (data_dir / "postgres").stat()
    os.chown(pid_file, owner.st_uid, owner.st_gid)
    try:
        with Embedded.start(data_dir):
            assert answers(data_dir)
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_half_made_cluster_is_made_anew(place: Path) -> None:
    half = place / "data/initdb-0badcafe"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with Embedded.start(place / "data"):
        assert answers(place / "data")
    assert not half.exists()


def test_a_long_path_gets_a_short_socket(made: Path, place: Path) -> None:
    data_dir = place / ("long" * 30) / "data"
    data_dir.parent.mkdir()
    subprocess.run(["cp", "-a", str(made), str(data_dir)], check=True)
    with Embedded.start(data_dir) as server:
        assert answers(data_dir)
        assert server._socket_dir.stat().st_mode & 0o777 == 0o700
    shutil.rmtree(server._socket_dir)


def test_it_is_durable_and_reached_by_nobody_else(data_dir: Path) -> None:
    with Embedded.start(data_dir) as server:
        names = ("fsync", "full_page_writes", "synchronous_commit", "listen_addresses")
        assert [setting(server, name) for name in names] == ["on", "on", "on", ""]
    for folder in (data_dir, data_dir / "socket", data_dir / "postgres"):
        assert folder.stat().st_mode & 0o077 == 0


def test_the_folders_above_stay_closed_to_others(made: Path, place: Path) -> None:
    above = place / "private"
    above.mkdir(mode=0o700)
    subprocess.run(["cp", "-a", str(made), str(above / "data")], check=True)
    with Embedded.start(above / "data"):
        assert answers(above / "data")
    assert above.stat().st_mode & 0o007 == 0


def test_many_come_and_go(data_dir: Path) -> None:
    def come_and_go(_: int) -> None:
        with Embedded.start(data_dir) as server:
            assert setting(server, "fsync") == "on"

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(come_and_go, range(12)))
    assert not listens(data_dir)
