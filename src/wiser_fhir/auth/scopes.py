"""SMART scopes, version 2, and who may have which. Pure.

Denied by default: a scope names one resource of the table below and some of its interactions.
Wildcards, search parameters and the contexts of a person (`patient/`, `user/`) are refused.
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import MappingProxyType

# What can be granted at all. Letters: create, read, update, delete, search.
GRANTABLE: Mapping[str, str] = MappingProxyType(
    {
        "Claim": "cu",
        "ClaimResponse": "rs",
        "CommunicationRequest": "rs",
        "Library": "rs",
        "Questionnaire": "rs",
        "Subscription": "cruds",
        "Task": "rs",
        "ValueSet": "rs",
    }
)

_CANONICAL = {name.lower(): name for name in GRANTABLE}
_VERSION_1 = {"read": "rs", "write": "cud"}
_SCOPE = re.compile(r"system/([A-Za-z]+)\.(read|write|(?=[cruds])c?r?u?d?s?)")

Grants = Mapping[str, frozenset[str]]


class ScopeRefused(ValueError):
    """A scope that is malformed, or that nobody is granted."""


def grants(scopes: Iterable[str]) -> Grants:
    """What some scopes allow: the letters by resource. Raises ScopeRefused."""
    allowed: dict[str, frozenset[str]] = {}
    for scope in scopes:
        resource, letters = _read(scope)
        allowed[resource] = allowed.get(resource, frozenset()) | letters
    return MappingProxyType(allowed)


def readable(scopes: Iterable[str]) -> Grants:
    """What stored scopes allow: one that cannot be read allows nothing."""
    allowed: dict[str, frozenset[str]] = {}
    for scope in scopes:
        with suppress(ScopeRefused):
            resource, letters = _read(scope)
            allowed[resource] = allowed.get(resource, frozenset()) | letters
    return MappingProxyType(allowed)


def requested(scope: str, registered: Grants) -> Grants:
    """What of a `scope` parameter is granted to a client: what it is registered for.

    A scope of another resource or interaction is left out; one that is malformed, of a person, a
    wildcard or with search parameters is not guessed at. Raises ScopeRefused.
    Source: RFC 6749, 3.3; SMART App Launch 2.2.0, "Scopes for requesting FHIR Resources".
    """
    granted: dict[str, frozenset[str]] = {}
    for each in scope.split(" "):
        match = _SCOPE.fullmatch(each)
        if match is None:
            raise ScopeRefused("a scope that is not of a system, for one resource")
        resource = _CANONICAL.get(match[1].lower(), "")
        letters = frozenset(_VERSION_1.get(match[2], match[2]))
        allowed = letters & registered.get(resource, frozenset())
        if allowed:
            granted[resource] = granted.get(resource, frozenset()) | allowed
    return MappingProxyType(granted)


def covers(granted: Grants, needed: Grants) -> bool:
    """Whether everything needed is granted."""
    nothing: frozenset[str] = frozenset()
    return all(letters <= granted.get(resource, nothing) for resource, letters in needed.items())


def common(one: Grants, other: Grants) -> Grants:
    """What both allow."""
    both = {resource: one[resource] & other[resource] for resource in one.keys() & other.keys()}
    return MappingProxyType({resource: letters for resource, letters in both.items() if letters})


def spelled(allowed: Grants) -> tuple[str, ...]:
    """The same as scopes, one per resource, letters in their order, sorted."""
    return tuple(
        f"system/{resource}.{''.join(letter for letter in 'cruds' if letter in letters)}"
        for resource, letters in sorted(allowed.items())
    )


ALL_SCOPES = spelled({resource: frozenset(letters) for resource, letters in GRANTABLE.items()})


def _read(scope: str) -> tuple[str, frozenset[str]]:
    """Resource and letters of one scope.

    A version 1 scope is read as what of it can be granted. Resource names are compared without
    case, for DTR spells them in lower case. Source: DTR 2.2.0, "SMART Backend Services".
    """
    match = _SCOPE.fullmatch(scope)
    resource = _CANONICAL.get(match[1].lower()) if match else None
    if match is None or resource is None:
        raise ScopeRefused(f"no such scope: {scope}")
    grantable = frozenset(GRANTABLE[resource])
    if match[2] in _VERSION_1:
        letters = frozenset(_VERSION_1[match[2]]) & grantable
    else:
        letters = frozenset(match[2])
    if not letters or not letters <= grantable:
        raise ScopeRefused(f"nobody is granted {scope}")
    return resource, letters
