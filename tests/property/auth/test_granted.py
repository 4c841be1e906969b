"""No request gets more than was registered, nor more than it asks for, nor for longer."""

import re
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from wiser_fhir.auth.assertion import OAuthRefused, RegisteredClient
from wiser_fhir.auth.scopes import GRANTABLE, Grants, grants
from wiser_fhir.auth.token_grant import LIFE, grant

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


def letters(allowed: str) -> st.SearchStrategy[str]:
    chosen = st.sets(st.sampled_from(allowed), min_size=1)
    return chosen.map(lambda found: "".join(each for each in "cruds" if each in found))


registered = st.dictionaries(st.sampled_from(sorted(GRANTABLE)), st.just(None), min_size=1).flatmap(
    lambda names: st.fixed_dictionaries({name: letters(GRANTABLE[name]) for name in names})
)
resources = st.sampled_from([*GRANTABLE, *map(str.lower, GRANTABLE), "Patient", "AuditEvent", "*"])
wished = st.one_of(letters("cruds"), st.sampled_from(["read", "write", "*", "rs?status=active"]))
contexts = st.sampled_from(["system"] * 8 + ["patient", "user"])
scope = st.builds("{}/{}.{}".format, contexts, resources, wished) | st.text(max_size=12)
request = st.lists(scope, min_size=1, max_size=6).map(" ".join)


def asked_for(scopes: str) -> Grants:
    """What a request names at most, read by another reader than ours."""
    found: dict[str, frozenset[str]] = {}
    canonical = {name.lower(): name for name in GRANTABLE}
    for name, wish in re.findall(r"(?:^| )system/([A-Za-z]+)\.([a-z]+)(?= |$)", scopes):
        of_version_1 = {"read": "rs", "write": "cud"}
        resource = canonical.get(name.lower(), name)
        allowed = frozenset(of_version_1.get(wish, wish))
        found[resource] = found.get(resource, frozenset()) | allowed
    return found


@given(registered, request)
def test_what_is_granted_is_registered_and_was_asked_for(has: dict[str, str], scopes: str) -> None:
    may = grants(f"system/{name}.{which}" for name, which in has.items())
    client = RegisteredClient(UUID(int=1), "x", UUID(int=2), may)
    try:
        issued = grant(client, scopes, None, NOW, unbound=True)
    except OAuthRefused:
        return
    wanted = asked_for(scopes)
    granted = grants(issued.scopes)
    assert granted
    for resource, got in granted.items():
        assert got == may[resource] & wanted[resource]
    assert "*" not in scopes
    assert "?" not in scopes
    assert issued.expires_at - issued.issued_at == LIFE


@given(registered)
def test_without_a_scope_all_that_is_registered_is_granted(has: dict[str, str]) -> None:
    may = grants(f"system/{name}.{which}" for name, which in has.items())
    client = RegisteredClient(UUID(int=1), "x", UUID(int=2), may)
    assert grants(grant(client, None, None, NOW, unbound=True).scopes) == may
