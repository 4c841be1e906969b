"""The whole life of a request over sockets: asked, asked back, decided in part, claimed, expired.

Provider, clinician and contractor talk to a server that does no work beside. Workers are processes
of their own; one is killed while an event waits that nobody takes.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from tests.bundles import Json, Line, affirming_answers, request_bundle
from tests.e2e.clocked import FileClock, by
from tests.e2e.pas.actors import Clinician, Commands, Contractor, Provider, issued, of_kind
from tests.e2e.pas.subscriber import ListeningProgram, eventually
from tests.e2e.program import Program, Started
from tests.e2e.serving import sandbox, serving
from tests.e2e.working import started_worker
from tests.integration.pas.attaching import attachment, call
from tests.integration.pas.door import actions, claim_response
from tests.subscriptions import parameters
from wiser_fhir.db.embedded import Urls

MONDAY = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
DAY_121 = datetime(2027, 3, 23, 15, 0, tzinfo=UTC)
SERVICE = "epidural-steroid-injection"
AFFIRMED, NOT_AFFIRMED = "64483", "62323"
NOTES = "11506-3"  # LOINC
TRACE = "trace-of-the-journey"
DECISION = (
    {"sequence": 1, "outcome": "affirmed"},
    {
        "sequence": 2,
        "outcome": "non-affirmed",
        "rationale": "A second approach in one session is not supported.",
        "resubmission_steps": "Send the reason for the second approach.",
    },
)


@dataclass
class Workers:
    """The worker there is, if any."""

    environment: Mapping[str, str]
    program: Program
    running: list[Started] = field(default_factory=list)

    def start(self) -> None:
        """One more, which works when this returns."""
        self.running.append(started_worker(self.environment, self.program))

    def kill(self) -> None:
        """Kill whatever works, with kill -9."""
        while self.running:
            self.running.pop().kill()


@dataclass(frozen=True)
class Stage:
    """Everybody, and the processes between them."""

    clock: FileClock
    commands: Commands
    workers: Workers
    listener: ListeningProgram
    provider: Provider
    clinician: Clinician
    contractor: Contractor

    def subscribed(self, line: Line) -> str:
        """The id of a subscription that hears."""
        made = self.provider.subscribe(line, self.listener.origin)
        eventually(lambda: self.provider.hears(line, made), 60, "a handshake")
        return made

    def told(self, line: Line, number: int) -> list[Json]:
        """The notifications of one event of a line's subscription: the same one may come again."""
        heard = [e for e in self.listener.heard() if e["path"] == f"/told?line={line}"]
        bundles: list[Json] = [each["notification"] for each in heard]
        return [b for b in bundles if _event_number(b) == number]


def _event_number(notification: Json) -> int:
    """The number of the event that a notification tells; 0 of a handshake."""
    events = parameters(notification)["notification-event"]
    return int(events[0]["event-number"]) if events else 0


@pytest.fixture
def stage(empty_database: Urls, tmp_path: Path) -> Iterator[Stage]:
    """A server, a worker and a listener, on a Monday morning."""
    clock = FileClock(tmp_path / "clock")
    clock.move(MONDAY)
    listener = ListeningProgram.at_a_free_port(tmp_path)
    environment = sandbox(empty_database, tmp_path / "data")
    environment |= {"WISER_SANDBOX_HOSTS": listener.origin}
    commands, program = Commands(environment), by(clock)
    listener.start()
    workers = Workers(environment, program)
    try:
        with serving(environment, program) as server, calling(server.url) as http:
            workers.start()
            of_ehr, of_clinician, of_contractor = asyncio.run(issued(empty_database, MONDAY))
            yield Stage(
                clock=clock,
                commands=commands,
                workers=workers,
                listener=listener,
                provider=Provider(http, of_ehr),
                clinician=Clinician(http, of_clinician),
                contractor=Contractor(http, of_contractor),
            )
            workers.kill()
    finally:
        workers.kill()
        listener.kill()


@contextmanager
def calling(url: str) -> Iterator[httpx.Client]:
    """Connections to the server."""
    with httpx.Client(base_url=url, timeout=30) as http:
        yield http


def test_a_request_lives_its_whole_life(stage: Stage) -> None:
    provider, clinician, listener = stage.provider, stage.clinician, stage.listener
    subscriptions: dict[Line, str] = {
        "2.2": stage.subscribed("2.2"),
        "2.0": stage.subscribed("2.0"),
    }

    answer = claim_response(provider.submit("2.2", a_request_of_two_codes()))
    case_id = answer["id"]
    assert actions(answer) == {1: "A4", 2: "A4"}
    assert "preAuthRef" not in answer
    assert clinician.queue() == [case_id]

    asked = clinician.ask_for_document(case_id, NOTES)
    assert [each["state"] for each in asked["requests"]] == ["open"]
    eventually(lambda: heard_by_both(stage, 1), 60, "that a document is asked for")
    what_is_asked_for(stage, answer)

    a_document_comes_while_nobody_takes_what_is_told(stage, case_id)
    stage.workers.kill()
    assert [listener.numbers(each)[-1] for each in subscriptions.values()] == [2, 2]

    decided = clinician.determine(case_id, *DECISION)
    assert decided["status"] == "partially-affirmed"
    utn = decided["utn"]["number"]
    assert (decided["utn"]["valid_from"], decided["utn"]["valid_until"]) == (
        "2026-11-23",
        "2027-03-22",
    )
    assert [listener.numbers(each)[-1] for each in subscriptions.values()] == [2, 2]

    listener.behave("ok")
    stage.workers.start()
    eventually(lambda: heard_by_both(stage, 3), 60, "the determination")
    what_is_told_in_the_end(stage, case_id, utn)

    found_everywhere(stage, case_id, utn)
    what_claims_are_told(stage, utn)

    stage.workers.kill()
    stage.clock.move(DAY_121)
    stage.workers.start()
    eventually(lambda: state_of(stage, utn) == "expired", 60, "the end of the number")
    found_everywhere(stage, case_id, utn)
    what_claims_are_told(stage, utn)
    what_was_heard_in_all(stage, subscriptions)
    what_history_says(stage, case_id)


def a_request_of_two_codes() -> Json:
    """One criterion is unmet, so that a clinician has to look."""
    return request_bundle(
        "2.2",
        service=SERVICE,
        answers=affirming_answers(SERVICE) | {"esi-impact": False},
        codes=(AFFIRMED, NOT_AFFIRMED),
        site="11",
        created=MONDAY,
        trace=TRACE,
    )


def heard_by_both(stage: Stage, number: int) -> bool:
    """Whether both subscriptions were told of an event."""
    return bool(stage.told("2.2", number) and stage.told("2.0", number))


def what_is_asked_for(stage: Stage, answer: Json) -> None:
    """The notification of line 2.2 brings the request; that of 2.0 says where the answer is."""
    [whole], [by_id] = stage.told("2.2", 1), stage.told("2.0", 1)
    [message] = [entry["resource"] for entry in whole["entry"][1:]]
    [wanted] = of_kind(message, "CommunicationRequest")
    assert wanted["payload"] == [{"contentString": NOTES}]
    [task] = of_kind(message, "Task")
    assert task["status"] == "requested"
    assert task["restriction"]["period"]["end"].startswith("2026-11-26T15:0")
    assert of_kind(message, "ClaimResponse")[0]["id"] == answer["id"]
    assert len(by_id["entry"]) == 1
    assert stage.provider.get(f"/fhir/Task/{task['id']}")["status"] == "requested"


def a_document_comes_while_nobody_takes_what_is_told(stage: Stage, case_id: str) -> None:
    """It is quarantined, then cleared: the request for it is answered, and that is told in vain."""
    stage.listener.behave("500")
    sent = call(TRACE, "1EG4TE5MK73", attachment(code=NOTES, lines=("1",)))
    assert "quarantine" in stage.provider.attach("2.2", sent)
    eventually(lambda: heard_by_both(stage, 2), 60, "that the document has come")
    eventually(lambda: len(stage.told("2.2", 2)) > 1, 60, "a second try")
    seen = stage.clinician.case(case_id)
    assert [each["state"] for each in seen["attachments"]] == ["clear"]
    assert [each["state"] for each in seen["requests"]] == ["answered"]
    assert seen["status"] == "in-review"


def what_is_told_in_the_end(stage: Stage, case_id: str, utn: str) -> None:
    """The last notification is the determination, whole in line 2.2 and by its id in 2.0."""
    [whole], [by_id] = stage.told("2.2", 3), stage.told("2.0", 3)
    [response] = of_kind(whole["entry"][1]["resource"], "ClaimResponse")
    assert (response["id"], response["preAuthRef"]) == (case_id, utn)
    assert actions(response) == {1: "A1", 2: "A3"}
    [event] = parameters(by_id)["notification-event"]
    read = stage.provider.get(event["focus"][event["focus"].index("/v2.0/fhir") :])
    assert (read["id"], actions(read)) == (case_id, {1: "A1", 2: "A3"})


def found_everywhere(stage: Stage, case_id: str, utn: str) -> None:
    """An inquiry at either line finds the decision by its number."""
    lines: tuple[Line, ...] = ("2.2", "2.0")
    for line in lines:
        found = stage.provider.inquire(line, utn)
        assert (found["id"], found["preAuthRef"]) == (case_id, utn)
        assert found["preAuthPeriod"] == {"start": "2026-11-23", "end": "2027-03-22"}
        assert actions(found) == {1: "A1", 2: "A3"}


def what_claims_are_told(stage: Stage, utn: str) -> None:
    """The day of service counts, whatever day it is."""
    said = [
        stage.contractor.check(utn, code, day)
        for code, day in (
            (AFFIRMED, "2026-12-15"),
            (AFFIRMED, "2027-03-22"),
            (AFFIRMED, "2027-03-23"),
            (AFFIRMED, "2026-11-22"),
            (NOT_AFFIRMED, "2026-12-15"),
            ("62321", "2026-12-15"),
        )
    ]
    assert said == [
        *("covered", "covered", "expired", "out-of-period", "non-affirmed", "wrong-code"),
    ]


def state_of(stage: Stage, utn: str) -> str:
    """How a number stands by the register."""
    [entry] = stage.commands.register("2026-11-23", "2026-11-23")
    assert (entry["number"], entry["decision"]) == (utn, "partially-affirmed")
    assert entry["delivered_at"] != ""
    return entry["state"]


def what_was_heard_in_all(stage: Stage, subscriptions: dict[Line, str]) -> None:
    """Three events, in order and without a gap; what was told twice is the one not taken."""
    for line, own in subscriptions.items():
        numbers = stage.listener.numbers(own)
        assert numbers == sorted(numbers)
        assert list(dict.fromkeys(numbers)) == [1, 2, 3]
        assert (numbers.count(1), numbers.count(3)) == (1, 1)
        assert numbers.count(2) >= 2, line


def what_history_says(stage: Stage, case_id: str) -> None:
    """Everything that happened, in its order, and the times a number has."""
    kinds = [event["kind"] for event in stage.clinician.case(case_id)["history"]]
    assert kinds == [
        "information-requested",
        "attachment-received",
        "attachment-cleared",
        "information-answered",
        "determined",
        "utn-expired",
    ]
