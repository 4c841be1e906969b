"""A client's own server with its keys, which counts how often it is asked."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from tests.hand_made_jwt import Json, base64url, ec_pair

KEY = ec_pair("of-the-key-server")
_GIANT_BITS = 8 * 45_000


@dataclass
class KeyServer:
    """Where it is, and each path that it was asked for. `/giant` has one RSA key beyond use."""

    origin: str
    asked: list[str] = field(default_factory=list)


@contextmanager
def key_server() -> Iterator[KeyServer]:
    """One that answers until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            body = json.dumps(_keys(self.path)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = KeyServer(f"http://127.0.0.1:{server.server_port}")
        serving = Thread(target=server.serve_forever, daemon=True)
        serving.start()
        try:
            yield found
        finally:
            server.shutdown()
            serving.join()


def _keys(path: str) -> Json:
    if path != "/giant":
        return {"keys": [KEY.jwk()]}
    modulus = base64url(b"\xff" * (_GIANT_BITS // 8))
    return {"keys": [{"kty": "RSA", "kid": "giant", "n": modulus, "e": "AQAB"}]}
