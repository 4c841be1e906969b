"""The client of ClamAV's daemon against daemons of every temper, over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from wiser_fhir.egress.scanner import ClamdScanner, ScannerAddress, ScannerAway, Verdict
from wiser_fhir.sandbox.scanner import SandboxScanner

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
TEST_FILE = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


class Daemon:
    """Reads a stream as clamd does, and answers with one line."""

    def __init__(self, reply: bytes) -> None:
        self.reply = reply
        self.received = b""
        self.pieces = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(10) == b"zINSTREAM\0"
        while size := int.from_bytes(await reader.readexactly(4)):
            self.received += await reader.readexactly(size)
            self.pieces += 1
        writer.write(self.reply)


@asynccontextmanager
async def listening(talk: Talk) -> AsyncIterator[ScannerAddress]:
    """A daemon that talks so; every conversation is over at the end."""
    over: list[asyncio.Event] = []

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        over.append(asyncio.Event())
        ended = over[-1]
        try:
            with suppress(ConnectionError):
                await talk(reader, writer)
        finally:
            writer.close()
            ended.set()

    server = await asyncio.start_server(conversation, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield ScannerAddress.of(f"tcp://127.0.0.1:{port}")
        for each in over:
            await each.wait()


async def test_a_clean_file_is_sent_whole_and_in_pieces() -> None:
    daemon = Daemon(b"stream: OK\0")
    content = bytes(range(256)) * 1000
    async with listening(daemon) as address:
        assert await ClamdScanner(address).scan(content) == Verdict("clamd")
    assert daemon.received == content
    assert daemon.pieces == 4


async def test_a_daemon_behind_a_unix_socket(tmp_path: Path) -> None:
    socket = tmp_path / "clamd.sock"
    daemon = Daemon(b"stream: OK\0")

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await daemon(reader, writer)
        writer.close()

    async with await asyncio.start_unix_server(conversation, socket):
        assert (await ClamdScanner(ScannerAddress.of(f"unix://{socket}")).scan(b"x")).clean


@pytest.mark.parametrize(
    ("reply", "finding"),
    [
        (b"stream: Eicar-Signature FOUND\0", "Eicar-Signature"),
        (b"stream: Win.Test.EICAR_HDB-1 FOUND\0", "Win.Test.EICAR_HDB-1"),
        (b"stream: a name; of \xff sorts FOUND\0", "a-name--of---sorts"),
        (b"stream: " + b"A" * 300 + b" FOUND\0", "A" * 100),
    ],
)
async def test_what_was_found_is_told_by_name(reply: bytes, finding: str) -> None:
    async with listening(Daemon(reply)) as address:
        verdict = await ClamdScanner(address).scan(b"x")
    assert not verdict.clean
    assert verdict.finding == finding


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"\0",
        b"stream: OK",
        b"INSTREAM size limit exceeded. ERROR\0",
        b"stream: OK FOUND OK\0",
        b"UNKNOWN COMMAND\0",
        b"stream: OK\nstream: X FOUND\0",
        b"A" * 100_000,
    ],
)
async def test_an_answer_that_is_none_clears_nothing(reply: bytes) -> None:
    async with listening(Daemon(reply)) as address:
        with pytest.raises(ScannerAway):
            await ClamdScanner(address).scan(b"x")


async def test_a_daemon_that_says_nothing_holds_nobody_up() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(silent) as address:
        with pytest.raises(ScannerAway):
            await ClamdScanner(address, seconds=0.2).scan(b"x")


async def test_a_daemon_that_reads_nothing_holds_nobody_up() -> None:
    done = asyncio.Event()

    async def stuck(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()

    async with listening(stuck) as address:
        with pytest.raises(ScannerAway):
            await ClamdScanner(address, seconds=0.2).scan(bytes(20_000_000))
        done.set()


async def test_a_daemon_that_hangs_up_clears_nothing() -> None:
    async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with listening(hangs_up) as address:
        with pytest.raises(ScannerAway):
            await ClamdScanner(address).scan(bytes(20_000_000))


async def test_no_daemon_clears_nothing(tmp_path: Path) -> None:
    address = ScannerAddress.of(f"unix://{tmp_path / 'nobody.sock'}")
    with pytest.raises(ScannerAway):
        await ClamdScanner(address).scan(b"x")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("tcp://scanner.internal:3310", ScannerAddress(host="scanner.internal", port=3310)),
        ("tcp://[::1]:3310/", ScannerAddress(host="::1", port=3310)),
        ("unix:///run/clamd.sock", ScannerAddress(path="/run/clamd.sock")),
    ],
)
def test_an_address_is_read(text: str, address: ScannerAddress) -> None:
    assert ScannerAddress.of(text) == address


@pytest.mark.parametrize(
    "text",
    [
        *("", "clamd", "tcp://", "tcp://host", "tcp://host:0", "tcp://host:99999", "unix://"),
        *("unix:///", "unix://host/path", "http://host:1", "tcp://host:1/path", "tcp://u@host:1"),
        *("tcp://host:1?x", "tcp://host:1#x"),
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ScannerAddress.of(text)


async def test_the_sandbox_knows_the_test_file_and_nothing_else() -> None:
    scanner = SandboxScanner()
    assert (await scanner.scan(b"%PDF-1.7 " + TEST_FILE)).finding == "Eicar-Test-Signature"
    assert (await scanner.scan(b"%PDF-1.7 EICAR")).clean
