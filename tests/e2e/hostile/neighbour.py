"""Another organization's client as a program of its own: asks all the time, and writes down.

`python neighbour.py SETTINGS JOURNAL`: SETTINGS is JSON with host, port, token, and a body in which
`identifier` and `member` stand where each request has others. A line of JOURNAL is when a request
began (on the machine's monotonic clock), how many seconds it took, and its status, 0 for none.
"""

import http.client
import json
import sys
import time
from pathlib import Path
from typing import Any

_PAUSE_SECONDS = 0.02
_GIVES_UP_SECONDS = 60


def asked(connection: http.client.HTTPConnection, settings: Any, number: int) -> int:
    """The status that answers the next request."""
    if number % 2:
        path, method, body = "/fhir/ClaimResponse/1", "GET", None
    else:
        path, method = "/fhir/Claim/$submit", "POST"
        text: str = settings["body"]
        member = f"1EG{number // 1000 % 10}TE{number // 100 % 10}MK{number % 100:02d}"
        body = text.replace(settings["member"], member)
        body = body.replace(settings["identifier"], f"neighbour-{number:015d}")
    headers = {
        "Authorization": f"Bearer {settings['token']}",
        "Content-Type": "application/fhir+json",
    }
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return 0
    return answer.status


def main() -> None:
    """Ask until somebody ends it."""
    settings = json.loads(Path(sys.argv[1]).read_text())
    connection = http.client.HTTPConnection(
        settings["host"], settings["port"], timeout=_GIVES_UP_SECONDS
    )
    with Path(sys.argv[2]).open("w", buffering=1) as journal:
        number = 0
        while True:
            begun = time.monotonic()
            status = asked(connection, settings, number)
            journal.write(f"{begun} {time.monotonic() - begun} {status}\n")
            number += 1
            time.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    main()
