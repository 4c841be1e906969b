"""The FastAPI application without a single FHIR route: what holds for all of them."""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from fastapi import APIRouter, FastAPI

from wiser_fhir.web import errors
from wiser_fhir.web.logs import access_log
from wiser_fhir.web.metrics import Metrics
from wiser_fhir.web.openapi import describe_security, docs_page
from wiser_fhir.web.routes import RouteTable
from wiser_fhir.web.shell import Shell

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Look:
    """How an application shows itself. `protected` are path prefixes closed to strangers, `people`
    those open to people alone, who are not clients.
    """

    protected: tuple[str, ...]
    people: tuple[str, ...] = ()
    docs: bool = False
    https: bool = False
    log_level: str = "info"


def application(
    lifespan: Lifespan, routers: Iterable[tuple[str, APIRouter]], look: Look
) -> FastAPI:
    """An application with `routers` at their prefixes, our errors, and the shell around all."""
    app = FastAPI(
        title="wiser-fhir",
        description="The payer side of WISeR prior authorization, as a FHIR API.",
        version=installed_version(),
        lifespan=lifespan,
        openapi_url="/openapi.json" if look.docs else None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    metrics = Metrics()
    app.add_api_route("/metrics", metrics.exposed, include_in_schema=False)
    if look.docs:
        app.add_api_route("/docs", docs_page, include_in_schema=False)
    for prefix, router in routers:
        app.include_router(router, prefix=prefix)
    errors.install(app, look.protected, look.people)
    describe_security(app)
    routes = RouteTable(app.routes)
    app.state.routes = routes
    access = access_log(look.log_level)
    app.add_middleware(Shell, metrics=metrics, routes=routes, access=access, https=look.https)
    return app


def installed_version() -> str:
    """Our version, as installed."""
    try:
        return version("wiser-fhir")
    except PackageNotFoundError:
        return "0"
