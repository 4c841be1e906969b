"""The floors of calls that keep nothing: bare Starlette that parses the body and answers.

`/echo` sends the body back, `/bytes/N` a JSON text of N bytes. As a command it serves on a port of
its own: `python -m bench.echo`.
"""

import asyncio
import gc
import socket
from functools import cache

import orjson
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def echo(request: Request) -> Response:
    """Parse, write, answer."""
    parsed = orjson.loads(await request.body())
    return Response(orjson.dumps(parsed), media_type="application/json")


async def sized(request: Request) -> Response:
    """Parse, answer with as many bytes as the path says."""
    orjson.loads(await request.body())
    return Response(_text_of(request.path_params["size"]), media_type="application/json")


@cache
def _text_of(size: int) -> bytes:
    return b'"%b"' % (b"-" * (size - 2))


async def _serve() -> None:
    app = Starlette(
        routes=[
            Route("/echo", echo, methods=["POST"]),
            Route("/bytes/{size:int}", sized, methods=["POST"]),
        ]
    )
    bound = socket.create_server(("127.0.0.1", 0), backlog=1024)
    config = uvicorn.Config(
        app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False
    )
    gc.collect()
    gc.freeze()
    print(f"ready http://127.0.0.1:{bound.getsockname()[1]}", flush=True)
    await uvicorn.Server(config).serve([bound])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())
