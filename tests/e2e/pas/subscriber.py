"""The other side of a subscription: the program that listens, and what it has heard."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from tests.subscriptions import parameters

_PROGRAM = Path(__file__).with_name("listener.py")


@dataclass
class ListeningProgram:
    """A listener in a process of its own that always comes back at the same port."""

    folder: Path
    port: int
    process: "subprocess.Popen[str] | None" = None

    @classmethod
    def at_a_free_port(cls, folder: Path) -> "ListeningProgram":
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return cls(folder, probe.getsockname()[1])

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def behave(self, manner: str) -> None:
        """From the next request on."""
        new = self.folder / "manners.new"
        new.write_text(manner)
        new.replace(self.folder / "manners")

    def start(self) -> None:
        if not (self.folder / "manners").exists():
            self.behave("ok")
        arguments = [str(self.port), str(self.folder / "journal"), str(self.folder / "manners")]
        self.process = subprocess.Popen(
            [sys.executable, str(_PROGRAM), *arguments], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "listening\n"

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=30)
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def heard(self) -> list[dict[str, Any]]:
        """Every line of the journal; one that the kill cut off is none."""
        file = self.folder / "journal"
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def kinds(self, subscription_id: str) -> list[str]:
        """What kinds of notification came for a subscription, in their order."""
        return [str(told["type"]) for told in self._of(subscription_id)]

    def numbers(self, subscription_id: str) -> list[int]:
        """The numbers of the events that came for a subscription, in their order."""
        events = [
            event for told in self._of(subscription_id) for event in told["notification-event"]
        ]
        return [int(event["event-number"]) for event in events]

    def _of(self, subscription_id: str) -> list[dict[str, Any]]:
        told = [parameters(each["notification"]) for each in self.heard()]
        return [each for each in told if each["subscription"].endswith(subscription_id)]


def eventually(is_so: Callable[[], bool], within: float, what: str) -> None:
    """Wait until something is so, and fail where it does not come."""
    end = monotonic() + within
    while not is_so():
        assert monotonic() < end, f"did not happen: {what}"
        sleep(0.1)
