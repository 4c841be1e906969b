"""A subscriber as a program of its own, so that it can be killed.

`python listener.py PORT JOURNAL MANNERS`: writes every notification to JOURNAL, one line each, on
the disk before it answers. How it answers stands in the file MANNERS: `ok`, `500`, `redirect`,
`endless` or `slow`.
"""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

_WRITING = Lock()


class Handler(BaseHTTPRequestHandler):
    """Answers POST."""

    protocol_version = "HTTP/1.1"
    journal: Path
    manners: Path

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._write_down(json.loads(body))
        manner = self.manners.read_text().strip()
        if manner == "slow":
            time.sleep(30)
        status = {"500": 500, "redirect": 302}.get(manner, 200)
        self.send_response(status)
        if manner == "redirect":
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")  # type: ignore[attr-defined]
        if manner == "endless":
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", "0")
        self.end_headers()
        while manner == "endless":
            self.wfile.write(b"x" * 65_536)

    def _write_down(self, notification: object) -> None:
        line = {
            "path": self.path,
            "authorization": self.headers["Authorization"],
            "type": self.headers["Content-Type"],
            "notification": notification,
        }
        with _WRITING, self.journal.open("a") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class Server(ThreadingHTTPServer):
    """Takes its port back at once after it was killed."""

    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_: object) -> None:
        """A sender may go away at any time."""


if __name__ == "__main__":
    Handler.journal, Handler.manners = Path(sys.argv[2]), Path(sys.argv[3])
    server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
    print("listening", flush=True)
    server.serve_forever()
