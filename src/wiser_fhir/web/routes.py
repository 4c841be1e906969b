"""Which routes there are: a path's methods, and the template that stands for a path in logs."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, compile_path
from starlette.types import Scope


class RouteTable:
    """All routes of an application, taken down once they are all there."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._methods: list[tuple[re.Pattern[str], str, frozenset[str]]] = []
        self._templates: dict[Callable[..., Any], list[tuple[str, str]]] = {}
        for route in iter_route_contexts(routes):
            path, endpoint = route.path, route.endpoint
            if path is None or endpoint is None:
                continue
            self._methods.append((compile_path(path)[0], path, frozenset(route.methods or ())))
            start = path.partition("{")[0]
            self._templates.setdefault(endpoint, []).append((start, path))

    def paths(self) -> dict[str, frozenset[str]]:
        """Every path template with its methods."""
        found: dict[str, frozenset[str]] = {}
        for _, path, methods in self._methods:
            found[path] = found.get(path, frozenset()) | methods
        return found

    def allowed(self, path: str) -> list[str]:
        """The methods a path answers to."""
        matching = (methods for pattern, _, methods in self._methods if pattern.match(path))
        return sorted(frozenset[str]().union(*matching))

    def template(self, scope: Scope) -> str:
        """The template of the route that was taken, or `unknown`: never the path itself."""
        for start, template in self._templates.get(scope.get("endpoint"), ()):  # type: ignore[arg-type]
            if scope["path"].startswith(start):
                return template
        return "unknown"
