"""Fields of CDS Hooks JSON: there, of the right type, and not empty."""

from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import urlsplit

Json = dict[str, Any]
Kind = Literal["text", "object", "list", "url"]

_TYPES: dict[Kind, type] = {"text": str, "object": dict, "list": list, "url": str}


def field_faults(holder: object, name: str, kind: Kind, of: str) -> Iterator[str]:
    """What is wrong with a field that has to be there."""
    value = holder.get(name) if isinstance(holder, dict) else None
    if value is None or value is False:
        yield f"{of} has no {name}"
    elif not isinstance(value, _TYPES[kind]):
        yield f"{name} of {of} is no {kind}"
    elif is_empty(value):
        yield f"{name} of {of} is empty"
    elif kind == "url" and not is_web_address(value):
        yield f"{name} of {of} is no URL"


def is_empty(value: object) -> bool:
    """Nothing, or nothing but spaces."""
    return not value or (isinstance(value, str) and not value.strip())


def is_web_address(value: object) -> bool:
    """An http or https URL with a host."""
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
    except ValueError:
        return False
    return parts is not None and parts.scheme in ("http", "https") and bool(parts.hostname)


def is_reference(value: object, kinds: tuple[str, ...] = ()) -> bool:
    """`Type/id`, of one of the types if any are named."""
    kind, _, rest = value.partition("/") if isinstance(value, str) else ("", "", "")
    return bool(kind and rest) and (not kinds or kind in kinds)


def objects(value: object) -> list[Json]:
    """The objects of a list; none for what is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def kind_of(resource: object) -> str | None:
    """The type of a resource; None for what is none."""
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    return kind if isinstance(kind, str) and kind[:1].isupper() else None
