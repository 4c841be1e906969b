"""Every route for everybody who might call it, by `matrix.toml`; a route without a row fails.

Who may not is told the same whatever is asked for; nobody is shown anything of another
organization's; and what was refused to somebody who showed a token is on the trail.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from httpx import Response
from starlette.routing import Mount

from tests.integration.isolation.bodies import Sending, content_of
from tests.integration.isolation.callers import BAD, NOBODY, Callers, Shown, bearer
from tests.integration.isolation.rows import ROWS, Row
from tests.integration.isolation.world import Tenant, World, absent
from tests.integration.pas.door import NOW, ORIGIN
from tests.pki import issued
from wiser_fhir.app import create_app
from wiser_fhir.auth.people import ROLES
from wiser_fhir.settings import Settings
from wiser_fhir.web.people import _SAFE

CLIENTS = [row for row in ROWS if row.door == "client"]
PEOPLE = [row for row in ROWS if row.door == "people"]
HOOKS = [row for row in ROWS if row.door == "hook"]
OPEN = [row for row in ROWS if row.door == "open"]
NO_CLIENT = (
    *BAD,
    "expired token",
    "revoked token",
    "bound token without its certificate",
    "bound token with another certificate",
    "token of a person",
    "session of a person",
)
NO_PERSON = (*BAD, "expired token", "revoked token", "token of a client", "ended session")


@dataclass
class Asked:
    """A request that was sent, what it was sent with, and its answer."""

    request_id: UUID
    sent: str
    answer: Response

    def shows(self, tenant: Tenant) -> list[str]:
        """What of an organization is in the answer that was not in the request."""
        said = f"{self.answer.text} {self.answer.headers}"
        return [each for each in tenant.canaries if each in said and each not in self.sent]

    @property
    def told(self) -> tuple[int, bytes, list[tuple[str, str]]]:
        """The answer without what is another one's each time."""
        headers = [pair for pair in self.answer.headers.items() if pair[0] != "x-request-id"]
        return self.answer.status_code, self.answer.content, headers


async def ask(
    world: World, row: Row, shown: Shown, names: Mapping[str, str], sender: Tenant | None = None
) -> Asked:
    """The request of a row by somebody, about what the names stand for."""
    sending = Sending(sender or world.ours, row.line, names)
    content, kind = content_of(row.body, sending, row.method)
    request_id = uuid4()
    headers = {**shown.headers, "x-request-id": str(request_id)}
    if kind:
        headers["content-type"] = kind
    url = row.url(names)
    http = world.connection(shown.certificate)
    http.cookies.clear()  # what a browser would keep is none of the next caller's
    answer = await http.request(row.method, url, content=content, headers=headers)
    return Asked(request_id, f"{url} {content!r}", answer)


@pytest.fixture
def callers(world: World) -> Callers:
    return Callers(world)


def of(rows: list[Row]) -> pytest.MarkDecorator:
    """A case for each of some rows."""
    return pytest.mark.parametrize("row", rows, ids=[row.id for row in rows])


async def test_every_route_has_a_row_and_every_row_a_route(app: FastAPI) -> None:
    there = {
        (method, path) for path, methods in app.state.routes.paths().items() for method in methods
    }
    assert len(ROWS) == len({row.id for row in ROWS})
    assert {(row.method, row.path) for row in ROWS} == there


def test_production_has_all_of_them_but_what_is_the_sandbox_s_own() -> None:
    key = "A" * 43 + "="
    production = create_app(
        Settings.from_env(
            {
                "WISER_DATABASE_URL": "postgresql://wiser_app@db.example/wiser",
                "WISER_UTN_SOURCE": "local",
                "WISER_UTN_PREFIX": "WF",
                "WISER_PUBLIC_URL": "https://payer.example",
                "WISER_AUDIT_KEY": key,
                "WISER_SECRETS_KEY": key,
                "WISER_INDEX_KEY": key,
                "WISER_TLS_PROXY": "edge",
            }
        )
    )
    there = {
        (method, path)
        for path, methods in production.state.routes.paths().items()
        for method in methods
    }
    assert {(row.method, row.path) for row in ROWS if row.only != "sandbox"} == there


async def test_nothing_is_mounted_but_the_files_of_the_preview(app: FastAPI) -> None:
    mounted = {route.path for route in app.routes if isinstance(route, Mount)}
    assert mounted == {"/dtr/preview/pages", "/dtr/preview/lforms"}


async def refused(world: World, asked: Asked, status: int, *, recorded: bool) -> None:
    """Somebody was refused, learned nothing by it, and it is on the trail."""
    assert asked.answer.status_code == status, asked.answer.text
    for tenant in (world.ours, world.theirs):
        assert asked.shows(tenant) == []
    trail = await world.audited(asked.request_id)
    outcome = {401: "login", 403: "forbidden", 404: "not-found"}[status]
    found = {(each["action"], each["outcome"]) for each in trail}
    assert ("request.refused", outcome) in found if recorded else found == set()
    if status != 404:
        assert len(found) == recorded


@of([row for row in ROWS if row.door in ("client", "people", "hook")])
async def test_without_a_token_nobody_is_let_in(world: World, row: Row) -> None:
    asked = await ask(world, row, NOBODY, world.ours.names)
    assert asked.answer.headers["www-authenticate"].startswith("Bearer")
    await refused(world, asked, 401, recorded=False)
    nothing = await ask(world, row, NOBODY, absent(world.ours.names))
    assert asked.told == nothing.told


@pytest.mark.parametrize("who", NO_CLIENT)
@of(CLIENTS)
async def test_who_is_no_client_is_not_let_in(
    world: World, callers: Callers, row: Row, who: str
) -> None:
    shown = BAD.get(who) or await (await callers.clients(row))[who]()
    asked = await ask(world, row, shown, world.ours.names)
    await refused(world, asked, 401, recorded=True)
    unknown = await ask(world, row, BAD["unknown token"], world.ours.names)
    if who != "session of a person":
        assert asked.told == unknown.told


@of(CLIENTS)
async def test_a_client_with_too_little_scope_is_refused(
    world: World, callers: Callers, row: Row
) -> None:
    told = set()
    for shown in await callers.too_little(row):
        asked = await ask(world, row, shown, world.ours.names)
        await refused(world, asked, 403, recorded=True)
        nothing = await ask(world, row, shown, absent(world.ours.names))
        assert asked.told == nothing.told
        told.add(asked.answer.content)
    assert len(told) == 1


@of([row for row in CLIENTS if row.foreign])
async def test_what_is_another_organization_s_is_as_if_there_were_none(
    world: World, callers: Callers, row: Row
) -> None:
    shown = bearer(callers.of(world.ours, row).token)
    before = await world.belongings(world.theirs)
    foreign = await ask(world, row, shown, world.theirs.names)
    nothing = await ask(world, row, shown, absent(world.theirs.names))
    assert foreign.answer.status_code == nothing.answer.status_code == row.foreign
    assert foreign.shows(world.theirs) == []
    if row.foreign == 404:
        assert foreign.told == nothing.told
        await refused(world, foreign, 404, recorded=True)
    trail = await world.audited(foreign.request_id)
    own = callers.of(world.ours, row).organization_id
    assert own in {each["organization_id"] for each in trail}
    assert await world.belongings(world.theirs) == before


@of(CLIENTS)
async def test_a_client_that_may_is_answered_and_shown_its_own_alone(
    world: World, callers: Callers, row: Row
) -> None:
    client = callers.of(world.ours, row)
    certificate = issued()
    shown = bearer(await callers.token(client, row.scopes, certificate=certificate), certificate)
    asked = await ask(world, row, shown, world.ours.names)
    assert asked.answer.status_code == row.right, asked.answer.text
    assert asked.shows(world.theirs) == []
    trail = await world.audited(asked.request_id)
    assert {each["client_id"] for each in trail} == (set() if row.silent else {client.client_id})


@pytest.mark.parametrize("who", NO_PERSON)
@of(PEOPLE)
async def test_who_is_nobody_on_the_list_is_not_let_in(
    world: World, callers: Callers, row: Row, who: str
) -> None:
    shown = BAD.get(who) or await (await callers.people())[who]()
    asked = await ask(world, row, shown, world.ours.names)
    await refused(world, asked, 401, recorded=True)


@pytest.mark.parametrize(
    ("row", "role"),
    [(row, role) for row in PEOPLE for role in ROLES if role not in row.roles],
    ids=lambda each: each.id if isinstance(each, Row) else each,
)
async def test_who_has_none_of_the_roles_is_refused(
    world: World, callers: Callers, row: Row, role: str
) -> None:
    shown = bearer((await callers.person(role)).token)
    asked = await ask(world, row, shown, world.ours.names)
    await refused(world, asked, 403, recorded=True)


@of([row for row in PEOPLE if row.method not in _SAFE])
async def test_a_change_by_cookie_comes_from_our_own_pages_alone(
    world: World, callers: Callers, row: Row
) -> None:
    bare = await callers.session(row.roles[0], csrf=False)
    whole = await callers.session(row.roles[0])
    elsewhere = {**whole.headers, "origin": "https://evil.example"}
    untold = {name: value for name, value in whole.headers.items() if name != "origin"}
    wrong = {**whole.headers, "x-csrf-token": "A" * 43}
    for headers in (bare.headers, elsewhere, untold, wrong):
        asked = await ask(world, row, Shown(headers), world.ours.names)
        await refused(world, asked, 403, recorded=True)


@of([row for row in PEOPLE if row.foreign])
async def test_what_a_person_has_a_part_in_is_as_if_there_were_none(
    world: World, callers: Callers, row: Row
) -> None:
    for role in row.roles:
        shown = bearer((await callers.person(role, of=world.theirs)).token)
        before = await world.belongings(world.theirs)
        foreign = await ask(world, row, shown, world.theirs.names)
        nothing = await ask(world, row, shown, absent(world.theirs.names))
        assert foreign.told == nothing.told
        await refused(world, foreign, 404, recorded=True)
        assert await world.belongings(world.theirs) == before


@of(PEOPLE)
async def test_who_has_a_role_is_answered(world: World, callers: Callers, row: Row) -> None:
    statuses = []
    for role in row.roles:
        person = await callers.person(role)
        asked = await ask(world, row, bearer(person.token), world.ours.names)
        statuses.append(asked.answer.status_code)
        trail = await world.audited(asked.request_id)
        acts = {each["person_id"] for each in trail}
        assert acts == (set() if row.silent else {person.id})
    again = row.right if row.again is None else row.again
    assert statuses == [row.right, *[again] * (len(row.roles) - 1)]


@of(HOOKS)
async def test_a_hook_is_called_with_a_jwt_of_one_s_own(
    world: World, callers: Callers, row: Row
) -> None:
    hooks, names = world.ours.hooks, world.ours.names
    url, now = row.url(names), int(NOW.timestamp())
    other = world.theirs.hooks
    bad = {
        "malformed token": BAD["malformed token"],
        "unknown token": BAD["unknown token"],
        "expired": bearer(hooks.token(url, iat=now - 900, exp=now - 600)),
        "another server's": bearer(hooks.token(url, aud="https://another.example")),
        "another's key": bearer(other.token(url, iss=hooks.iss)),
        "token of a client": bearer(world.ours.client.token),
        "token of a person": bearer((await callers.person("clinician")).token),
    }
    told = set()
    for shown in bad.values():
        asked = await ask(world, row, shown, names)
        await refused(world, asked, 401, recorded=True)
        told.add(asked.answer.content)
    assert len(told) == 1


@of(HOOKS)
async def test_a_jwt_is_of_the_certificate_it_came_with_first(world: World, row: Row) -> None:
    jwt = world.ours.hooks.token(row.url(world.ours.names))
    first = await ask(world, row, bearer(jwt, issued()), world.ours.names)
    assert first.answer.status_code == row.right, first.answer.text
    assert first.shows(world.theirs) == []
    for certificate in (None, issued(number=2)):
        asked = await ask(world, row, bearer(jwt, certificate), world.ours.names)
        await refused(world, asked, 401, recorded=True)


@of([row for row in HOOKS if row.foreign])
async def test_a_card_of_another_organization_s_is_as_if_there_were_none(
    world: World, row: Row
) -> None:
    def shown() -> Shown:
        return bearer(world.ours.hooks.token(row.url(world.ours.names)))

    foreign = await ask(world, row, shown(), world.theirs.names)
    nothing = await ask(world, row, shown(), absent(world.theirs.names))
    assert foreign.answer.status_code == row.foreign
    assert foreign.told == nothing.told
    await refused(world, foreign, 404, recorded=True)


@of(OPEN)
async def test_what_is_open_says_the_same_to_everybody(
    world: World, callers: Callers, row: Row
) -> None:
    everybody = [NOBODY, *BAD.values(), bearer(world.ours.client.token)]
    everybody.append(await callers.session("clinician"))
    for shown in everybody:
        asked = await ask(world, row, shown, world.ours.names)
        assert asked.answer.status_code == row.right, asked.answer.text
        assert "www-authenticate" not in asked.answer.headers
        for tenant in (world.ours, world.theirs):
            assert asked.shows(tenant) == []


@of([row for row in ROWS if row.door == "oauth"])
async def test_the_authorization_server_answers_clients_that_prove_themselves(
    world: World, callers: Callers, row: Row
) -> None:
    person = bearer((await callers.person("clinician")).token)
    for shown in (NOBODY, *BAD.values(), person):
        asked = await ask(world, row, shown, world.ours.names)
        assert asked.answer.status_code in row.refused, asked.answer.text
        assert asked.answer.json()["error"]
        for tenant in (world.ours, world.theirs):
            assert asked.shows(tenant) == []


@of([row for row in ROWS if row.door == "oauth" and row.foreign])
async def test_of_another_client_s_token_nothing_is_told_and_nothing_done(
    world: World, callers: Callers, row: Row
) -> None:
    shown = bearer(await callers.token(world.ours.client))
    foreign = await ask(world, row, shown, world.theirs.names)
    nothing = await ask(world, row, shown, absent(world.theirs.names))
    assert foreign.told == nothing.told
    assert foreign.answer.status_code == row.foreign
    (read,) = [each for each in ROWS if each.id == "GET /fhir/ClaimResponse/{claim_response_id}"]
    theirs = bearer(world.theirs.names["token"])
    still = await ask(world, read, theirs, world.theirs.names, world.theirs)
    assert still.answer.status_code == 200


@of([row for row in ROWS if row.door == "page"])
async def test_a_page_about_somebody_is_for_whoever_has_a_session(
    world: World, callers: Callers, row: Row
) -> None:
    for shown in (NOBODY, *BAD.values(), await callers.session("clinician", ended=True)):
        asked = await ask(world, row, shown, world.ours.names)
        assert asked.answer.status_code == 401
    asked = await ask(world, row, await callers.session("clinician"), world.ours.names)
    assert asked.answer.status_code == row.right


@of([row for row in ROWS if row.door == "session"])
async def test_a_session_is_ended_from_our_own_pages_alone(
    world: World, callers: Callers, row: Row
) -> None:
    whole = await callers.session("clinician")
    elsewhere = Shown({**whole.headers, "origin": "https://evil.example"})
    bare = Shown({"cookie": whole.headers["cookie"], "origin": ORIGIN})
    for shown, status in ((elsewhere, 403), (bare, 403), (NOBODY, row.right), (whole, row.right)):
        asked = await ask(world, row, shown, world.ours.names)
        assert asked.answer.status_code == status
