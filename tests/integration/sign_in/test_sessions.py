"""A session from sign-in to its end: its cookies, its times, and what may be done with it."""

from datetime import timedelta

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.clocks import StillClock
from tests.integration.sign_in.browsing import BEGUN, ORIGIN, SESSION, Browser, query
from tests.integration.sign_in.conftest import Audit, Enlist
from tests.reviewing import NOW
from wiser_fhir.auth.people import Reviewer
from wiser_fhir.auth.sessions import IDLE, LIFE, SEEN_EVERY


def flags(cookie: str) -> set[str]:
    """The attributes of a Set-Cookie header, in lower case."""
    return {part.strip().lower() for part in cookie.split(";")[1:]}


async def run(engine: AsyncEngine, statement: str) -> None:
    async with engine.begin() as db:
        await db.execute(text(statement))


async def test_somebody_on_the_list_is_signed_in(browser: Browser, rhoda: Reviewer) -> None:
    answer = await browser.sign_in("rhoda-reviewer")
    assert answer.headers["location"] == "/sign-in/welcome"
    me = await browser.me()
    assert (me["id"], me["roles"]) == (str(rhoda.person_id), ["clinician"])
    assert me["signed_in_at"] == NOW.isoformat().replace("+00:00", "Z")
    page = await browser.get("/sign-in/welcome")
    assert page.status_code == 200
    assert rhoda.name in page.text
    assert (await browser.get("/review/me")).status_code == 200


async def test_cookies_are_for_this_host_alone_and_out_of_the_reach_of_scripts(
    browser: Browser, rhoda: Reviewer
) -> None:
    began = await browser.get("/sign-in")
    [begun] = began.headers.get_list("set-cookie")
    assert begun.startswith(f"{BEGUN}=")
    assert flags(begun) == {"path=/", "secure", "httponly", "samesite=lax", "max-age=600"}
    back = await browser.pick(began.headers["location"], "rhoda-reviewer")
    set_now = (await browser.get(back)).headers.get_list("set-cookie")
    session = next(each for each in set_now if each.startswith(f"{SESSION}="))
    assert flags(session) == {"path=/", "secure", "httponly", "samesite=lax"}
    gone = next(each for each in set_now if each.startswith(f"{BEGUN}="))
    assert "max-age=0" in flags(gone)


async def test_no_token_reaches_the_browser(browser: Browser, rhoda: Reviewer) -> None:
    back = await browser.pick(await browser.begin(), "rhoda-reviewer")
    answer = await browser.get(back)
    shown = str(answer.headers) + answer.text + str(dict(browser.http.cookies))
    assert "eyJ" not in shown
    assert set(browser.http.cookies) == {SESSION}


async def test_only_hashes_of_ids_are_stored(
    browser: Browser, rhoda: Reviewer, superuser_engine: AsyncEngine
) -> None:
    state = query(await browser.begin())["state"]
    async with superuser_engine.connect() as db:
        begun = str((await db.execute(text("select * from sign_in_begun"))).all())
    await browser.sign_in("rhoda-reviewer")
    async with superuser_engine.connect() as db:
        rows = str((await db.execute(text("select * from person_session"))).all())
    assert state not in begun
    assert browser.session
    assert browser.session not in rows


async def test_the_id_is_new_at_every_sign_in_and_the_one_before_is_dead(
    browser: Browser, other_browser: Browser, rhoda: Reviewer
) -> None:
    await browser.sign_in("rhoda-reviewer")
    before = browser.session
    await browser.sign_in("rhoda-reviewer", step_up=True)
    assert browser.session != before
    other_browser.http.cookies.set(SESSION, before or "", domain="review.example")
    assert (await other_browser.get("/sign-in/me")).status_code == 401
    assert (await browser.get("/sign-in/me")).status_code == 200


async def test_an_id_that_somebody_planted_is_not_taken_over(
    browser: Browser, rhoda: Reviewer
) -> None:
    planted = "A" * 43
    browser.http.cookies.set(SESSION, planted, domain="review.example")
    await browser.sign_in("rhoda-reviewer")
    assert planted not in browser.http.cookies.jar.__repr__()
    headers = {"cookie": f"{SESSION}={planted}"}
    assert (await browser.http.get("/sign-in/me", headers=headers)).status_code == 401


async def test_what_was_begun_is_dead_after_the_sign_in(
    browser: Browser, rhoda: Reviewer, superuser_engine: AsyncEngine
) -> None:
    url = await browser.begin()
    begun = browser.http.cookies[BEGUN]
    back = await browser.pick(url, "rhoda-reviewer")
    assert (await browser.get(back)).status_code == 303
    browser.http.cookies.set(BEGUN, begun, domain="review.example")
    assert (await browser.get(back)).status_code == 400
    async with superuser_engine.connect() as db:
        assert await db.scalar(text("select count(*) from sign_in_begun")) == 0


@pytest.mark.parametrize(
    ("passed", "status"),
    [(IDLE - timedelta(seconds=1), 200), (IDLE, 401)],
    ids=["just before", "after fifteen minutes"],
)
async def test_a_session_that_nobody_uses_ends(
    browser: Browser, clock: StillClock, rhoda: Reviewer, passed: timedelta, status: int
) -> None:
    await browser.sign_in("rhoda-reviewer")
    clock.now = NOW + passed
    assert (await browser.get("/sign-in/me")).status_code == status


async def test_a_session_in_use_lasts_eight_hours_and_no_longer(
    browser: Browser, clock: StillClock, rhoda: Reviewer
) -> None:
    await browser.sign_in("rhoda-reviewer")
    while clock.now + IDLE - SEEN_EVERY < NOW + LIFE:
        clock.now += IDLE - SEEN_EVERY
        assert (await browser.get("/sign-in/me")).status_code == 200
    clock.now = NOW + LIFE - timedelta(seconds=1)
    assert (await browser.get("/sign-in/me")).status_code == 200
    clock.now = NOW + LIFE
    assert (await browser.get("/sign-in/me")).status_code == 401


async def test_signing_out_ends_the_session_everywhere(
    browser: Browser, other_browser: Browser, rhoda: Reviewer
) -> None:
    await browser.sign_in("rhoda-reviewer")
    copied = browser.session or ""
    answer = await browser.sign_out()
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in/signed-out")
    assert browser.session is None
    other_browser.http.cookies.set(SESSION, copied, domain="review.example")
    assert (await other_browser.get("/review/me")).status_code == 401


async def test_signing_out_without_a_session_is_no_fault(browser: Browser) -> None:
    assert (await browser.sign_out()).status_code == 303


@pytest.mark.parametrize(
    "change",
    [
        "update person set active = false",
        "update person set roles = '{clinician,auditor}'",
        "update person set subject = 'somebody-else'",
    ],
)
async def test_who_is_changed_is_signed_out_at_once(
    browser: Browser, rhoda: Reviewer, owner_engine: AsyncEngine, change: str
) -> None:
    await browser.sign_in("rhoda-reviewer")
    await run(owner_engine, change)
    assert (await browser.get("/sign-in/me")).status_code == 401


async def test_a_licence_renewed_signs_nobody_out(
    browser: Browser, rhoda: Reviewer, owner_engine: AsyncEngine
) -> None:
    await browser.sign_in("rhoda-reviewer")
    await run(owner_engine, "update person set licence_expires = '2100-01-01'")
    assert (await browser.get("/sign-in/me")).status_code == 200


async def test_a_session_is_no_bearer_token_and_no_client(
    browser: Browser, rhoda: Reviewer
) -> None:
    await browser.sign_in("rhoda-reviewer")
    session = browser.session
    browser.http.cookies.clear()
    headers = {"authorization": f"Bearer {session}"}
    assert (await browser.http.get("/review/me", headers=headers)).status_code == 401
    cookie = {"cookie": f"{SESSION}={session}"}
    answer = await browser.http.get("/fhir/ClaimResponse/1", headers=cookie)
    assert answer.status_code == 401


async def test_a_session_that_ended_stays_so_whatever_the_application_writes(
    browser: Browser, rhoda: Reviewer, app_engine: AsyncEngine
) -> None:
    await browser.sign_in("rhoda-reviewer")
    await browser.sign_out()
    with pytest.raises(DBAPIError, match="a session that ended stays so"):
        await run(app_engine, "update person_session set ended_at = null")
    for change in ("delete from person_session", "update person_session set signed_in_at = now()"):
        with pytest.raises(DBAPIError, match="permission denied"):
            await run(app_engine, change)


async def test_signing_in_and_out_is_on_the_audit_trail(
    browser: Browser, rhoda: Reviewer, audit: Audit
) -> None:
    await browser.sign_in("rhoda-reviewer")
    await browser.sign_in("rhoda-reviewer", step_up=True)
    await browser.sign_out()
    assert await audit() == [
        ("person.sign-in", "done", rhoda.person_id, None),
        ("person.step-up", "done", rhoda.person_id, None),
        ("person.sign-out", "done", rhoda.person_id, None),
    ]


async def test_a_dead_session_is_on_the_audit_trail(browser: Browser, audit: Audit) -> None:
    browser.http.cookies.set(SESSION, "A" * 43, domain="review.example")
    await browser.get("/review/me")
    assert [row[:2] for row in await audit()] == [("request.refused", "login")]


async def test_who_is_not_on_the_list_is_told_so_and_gets_no_session(
    browser: Browser, enlist: Enlist, audit: Audit
) -> None:
    await enlist("cora-coordinator", active=False)
    await enlist("rhoda-reviewer", issuer="https://other.example")
    for subject in ("audrey-auditor", "cora-coordinator", "rhoda-reviewer"):
        answer = await browser.sign_in(subject)
        assert answer.status_code == 403
        assert "not on the list" in answer.text
        assert browser.session is None
    refused = ("person.sign-in", "refused", None, "not-on-the-list")
    assert await audit() == [refused] * 3


async def test_two_issuers_may_call_two_people_the_same(browser: Browser, enlist: Enlist) -> None:
    await enlist("rhoda-reviewer", issuer="https://other.example", roles=("auditor",))
    ours = await enlist("rhoda-reviewer")
    await browser.sign_in("rhoda-reviewer")
    assert (await browser.me())["id"] == str(ours.person_id)


async def test_one_issuer_calls_nobody_else_the_same(enlist: Enlist, rhoda: Reviewer) -> None:
    with pytest.raises(DBAPIError, match="uq_person_identity"):
        await enlist()


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "evil",
        "/a\r\nset-cookie: x=y",
        "javascript:alert(1)",
        "/" + "a" * 1_024,
        "",
    ],
)
async def test_nobody_is_led_away(browser: Browser, path: str) -> None:
    answer = await browser.get("/sign-in", params={"return_to": path})
    assert answer.status_code == 400
    assert "location" not in answer.headers


async def test_somebody_comes_back_to_where_they_were(browser: Browser, rhoda: Reviewer) -> None:
    answer = await browser.sign_in("rhoda-reviewer", return_to="/review/cases?sort=age")
    assert answer.headers["location"] == "/review/cases?sort=age"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"origin": ORIGIN}, 403),
        ({"origin": ORIGIN, "x-csrf-token": ""}, 403),
        ({"origin": ORIGIN, "x-csrf-token": "B" * 43}, 403),
        ({"origin": "https://evil.example", "x-csrf-token": "{csrf}"}, 403),
        ({"origin": "null", "x-csrf-token": "{csrf}"}, 403),
        ({"origin": f"{ORIGIN}.evil.example", "x-csrf-token": "{csrf}"}, 403),
        ({"x-csrf-token": "{csrf}"}, 403),
        ({"origin": ORIGIN, "x-csrf-token": "{csrf}"}, 404),
    ],
)
async def test_changes_by_cookie_come_from_our_own_pages(
    browser: Browser, rhoda: Reviewer, headers: dict[str, str], status: int
) -> None:
    await browser.sign_in("rhoda-reviewer")
    sent = {name: value.format(csrf=browser.csrf) for name, value in headers.items()}
    url = "/review/cases/00000000-0000-4000-8000-000000000000/notes"
    answer = await browser.http.post(url, json={"text": "Seen."}, headers=sent)
    assert answer.status_code == status


async def test_every_unsafe_route_of_people_asks_for_the_token(
    app: FastAPI, browser: Browser, rhoda: Reviewer
) -> None:
    await browser.sign_in("rhoda-reviewer")
    tried = 0
    for path, methods in app.state.routes.paths().items():
        if not path.startswith(("/review/", "/sign-out")):
            continue
        for method in set(methods) - {"GET", "HEAD"}:
            url = path.replace("{", "").replace("}", "")
            answer = await browser.http.request(
                method, url, headers={"origin": ORIGIN}, data={"csrf": ""}
            )
            assert answer.status_code == 403, (method, path)
            tried += 1
    assert tried >= 12


async def test_the_token_of_another_session_is_none(
    browser: Browser, other_browser: Browser, rhoda: Reviewer
) -> None:
    await browser.sign_in("rhoda-reviewer")
    await other_browser.sign_in("rhoda-reviewer")
    browser.csrf = other_browser.csrf
    assert (await browser.sign_out()).status_code == 403
    assert (await browser.get("/sign-in/me")).status_code == 200


async def test_who_calls_with_a_bearer_token_needs_no_other(
    browser: Browser, rhoda: Reviewer, app_engine: AsyncEngine
) -> None:
    from wiser_fhir.auth.people import issue_person_token
    from wiser_fhir.db.engine import transaction

    async with transaction(app_engine) as db:
        issued = await issue_person_token(db, rhoda.name, timedelta(hours=1), NOW)
    headers = {"authorization": f"Bearer {issued.token}"}
    url = "/review/cases/00000000-0000-4000-8000-000000000000/notes"
    answer = await browser.http.post(url, json={"text": "Seen."}, headers=headers)
    assert answer.status_code == 404
    me = (await browser.http.get("/sign-in/me", headers=headers)).json()
    assert (me["csrf_token"], me["signed_in_at"]) == (None, NOW.isoformat().replace("+00:00", "Z"))


async def test_pages_run_no_script_and_are_framed_by_nobody(
    browser: Browser, rhoda: Reviewer
) -> None:
    shown = [
        await browser.get("/sign-in/signed-out"),
        await browser.get("/sign-in/welcome"),
        await browser.get("/sign-in/callback"),
        await browser.get(await browser.begin()),
    ]
    await browser.sign_in("rhoda-reviewer")
    shown.append(await browser.get("/sign-in/welcome"))
    for page in shown:
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "<script" not in page.text
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "same-origin"


async def test_a_name_is_shown_as_text(browser: Browser, enlist: Enlist) -> None:
    await enlist(name="<script>alert(1)</script>")
    await browser.sign_in("rhoda-reviewer")
    page = await browser.get("/sign-in/welcome")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "<script" not in page.text


async def test_without_a_provider_nobody_signs_in(
    app: FastAPI, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.state._state, "sign_in", None)
    for path in ("/sign-in", "/sign-in/callback"):
        answer = await browser.get(path)
        assert answer.status_code == 404
        assert "WISER_PEOPLE_ISSUER" in answer.text
    assert (await browser.get("/sign-in/keys")).json() == {"keys": []}


async def test_the_keys_for_the_providers_registration_are_public(browser: Browser) -> None:
    [key] = (await browser.get("/sign-in/keys")).json()["keys"]
    assert (key["kty"], key["alg"], key["use"]) == ("EC", "ES384", "sig")
    assert "d" not in key


async def test_the_owner_forgets_what_has_ended(
    browser: Browser, rhoda: Reviewer, owner_engine: AsyncEngine
) -> None:
    from wiser_fhir.auth import sessions
    from wiser_fhir.db.engine import transaction

    await browser.begin()
    await browser.sign_in("rhoda-reviewer")
    async with transaction(owner_engine) as db:
        assert await sessions.purge(db, NOW) == 0
        assert await sessions.purge(db, NOW + LIFE + timedelta(seconds=1)) >= 1
    assert isinstance(browser.http, AsyncClient)
    assert (await browser.get("/sign-in/me")).status_code == 401
