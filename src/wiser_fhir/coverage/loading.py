"""Rule files read into models. What is wrong in them is said all at once, by file and place."""

import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


class CatalogueError(ValueError):
    """The rule files cannot be used. `faults` names each file and place."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("the coverage catalogue cannot be used:\n" + "\n".join(faults))
        self.faults = tuple(faults)


def first_day(path: Path) -> date:
    """The day a rule file's name says. Raises CatalogueError."""
    try:
        return date.fromisoformat(path.stem)
    except ValueError:
        raise CatalogueError(
            [f"{short(path)}: the name of a rule file is its first day, such as 2026-01-15.toml"]
        ) from None


def short(path: Path) -> str:
    """A path as a reader of the catalogue names it."""
    parts = path.parts
    return "/".join(parts[parts.index("services") :] if "services" in parts else parts[-1:])


def read(model: type[Model], path: Path, extra: Mapping[str, object] | None = None) -> Model:
    """The file as a `model`, with `extra` fields that its path gives. Raises CatalogueError."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except FileNotFoundError:
        raise CatalogueError([f"{short(path)}: no such file"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogueError([f"{short(path)}: not readable as TOML: {error}"]) from None
    given = dict(extra or {})
    taken = sorted(given.keys() & data.keys())
    if taken:
        raise CatalogueError([f"{short(path)}: {name} is told by the path" for name in taken])
    raw = {key: _frozen(value) for key, value in data.items()} | given
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        faults = [_fault(short(path), data, detail) for detail in error.errors()]
        raise CatalogueError(faults) from None


def _frozen(value: Any) -> Any:
    """Raw data with tuples for lists, as the models hold them."""
    if isinstance(value, list):
        return tuple(_frozen(entry) for entry in value)
    if isinstance(value, dict):
        return {key: _frozen(entry) for key, entry in value.items()}
    return value


def _fault(name: str, data: Any, detail: Any) -> str:
    place, current = "", data
    for step in detail["loc"]:
        if isinstance(step, int) and isinstance(current, list) and step < len(current):
            current = current[step]
            place += f"[{_name(current, step)}]"
        else:
            current = current.get(step, current) if isinstance(current, dict) else current
            place += f".{step}"
    message = detail["msg"].removeprefix("Value error, ")
    return f"{name}: {place.lstrip('.')}: {message}" if place else f"{name}: {message}"


def _name(entry: Any, position: int) -> str:
    """An entry of a list by its own name, where it has one."""
    if isinstance(entry, dict):
        return str(entry.get("id") or entry.get("code") or position)
    return str(position)
