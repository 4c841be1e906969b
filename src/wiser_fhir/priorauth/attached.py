"""What is attached to a request after, before or instead of its own Bundle. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from hashlib import sha256
from uuid import UUID

import orjson

from wiser_fhir.coverage.canonical import questionnaire_urls, service_of
from wiser_fhir.coverage.requested import Code
from wiser_fhir.priorauth.information import InformationRequest, Material, Wanted
from wiser_fhir.priorauth.models import Identifier


class AttachTo(StrEnum):
    """What the material is for. Source: CDex 2.1.0, ValueSet cdex-claim-use."""

    CLAIM = "claim"
    PREAUTHORIZATION = "preauthorization"


class AttachmentKind(StrEnum):
    """In what shape it came: a file, the answers of a form, or another FHIR resource."""

    FILE = "file"
    QUESTIONNAIRE_RESPONSE = "questionnaire-response"
    RESOURCE = "resource"


_COMPLETE = ("completed", "amended")
"""The statuses of a QuestionnaireResponse whose answers are all there."""


class AttachmentState(StrEnum):
    """Whether anybody may look at it: not before a scanner has cleared it, never once refused."""

    QUARANTINED = "quarantined"
    CLEAR = "clear"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Attached:
    """One thing attached. `content` are its bytes as they came, `resource` the FHIR resource around
    a file, without it, as JSON.

    `lines` are the items it is about as its sender names them, none for the whole request.
    `questionnaire` is the canonical of the form that it answers, `response_status` says how far.
    """

    kind: AttachmentKind
    resource_type: str
    media_type: str
    content: bytes
    resource: bytes | None = None
    code: Code | None = None
    lines: tuple[str, ...] = ()
    questionnaire: str | None = None
    response_status: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One call that brings attachments.

    `tracking` is the sender's trace number or our own number, `reference` what else it gives as our
    reference number. `member` is the beneficiary's number, as a case keeps it. `named` are payer,
    organization and provider as they came. `final`: nothing more will follow.
    """

    attach_to: AttachTo
    tracking: Identifier
    reference: str | None
    member: str
    named: Mapping[str, Identifier]
    service_date: date | None
    final: bool
    attachments: tuple[Attached, ...]


@dataclass(frozen=True, slots=True)
class Received:
    """An attachment of a case as it stands; `checked_at` is None while it is quarantined.

    `response_status` is that of the answers of a form.
    """

    kind: AttachmentKind
    state: AttachmentState
    checked_at: datetime | None
    code: str | None
    lines: tuple[str, ...]
    questionnaire: str | None
    response_status: str | None = None

    def among(self, lines: Collection[str]) -> "Received":
        """The same for a request with these lines: where it names another, for all of it."""
        return self if set(self.lines) <= set(lines) else replace(self, lines=())


def identity(delivery: Delivery, attached: Attached) -> bytes:
    """What tells an attachment from every other: where it belongs, what it is said to be, and its
    bytes. The same again is kept once.
    """
    code = [attached.code.system, attached.code.code] if attached.code else None
    about = [*_place(delivery), code, sorted(attached.lines), attached.kind, attached.media_type]
    return sha256(orjson.dumps(about) + sha256(attached.content).digest()).digest()


def fingerprint(delivery: Delivery) -> bytes:
    """What tells a call from every other, whatever order its attachments are in."""
    parts = sorted(identity(delivery, each) for each in delivery.attachments)
    about = orjson.dumps([*_place(delivery), delivery.reference, delivery.final])
    return sha256(about + b"".join(parts)).digest()


def _place(delivery: Delivery) -> list[str | None]:
    tracking = delivery.tracking
    return [delivery.attach_to, tracking.system, tracking.value, delivery.member]


def is_answered(
    asked: InformationRequest, received: Collection[Received], said_final: datetime | None
) -> bool:
    """Whether what came settles a request for information.

    It does when everything wanted is there and clear, or when something of the kind is, its sender
    has said since that no more will follow (`said_final`), and nothing waits for the scanner.
    What was clear before the asking was known to whoever asked. Of forms only those wanted are of
    the kind, and only once their answers are complete.
    """
    fresh = [
        each
        for each in received
        if each.state is AttachmentState.CLEAR
        and each.checked_at is not None
        and each.checked_at >= asked.asked_at
        and _is_of(asked, each)
    ]
    if not fresh:
        return False
    if all(_is_there(wanted, fresh) for wanted in asked.wanted):
        return True
    waiting = any(each.state is AttachmentState.QUARANTINED for each in received)
    return said_final is not None and said_final >= asked.asked_at and not waiting


def missing(asked: InformationRequest, received: Collection[Received]) -> tuple[Wanted, ...]:
    """What was asked for and is not there, as far as codes and lines tell."""
    clear = [
        each for each in received if each.state is AttachmentState.CLEAR and _is_of(asked, each)
    ]
    return tuple(wanted for wanted in asked.wanted if not _is_there(wanted, clear))


def _is_of(asked: InformationRequest, received: Received) -> bool:
    answers = received.kind is AttachmentKind.QUESTIONNAIRE_RESPONSE
    if asked.kind is not Material.QUESTIONNAIRE:
        return not answers
    complete = answers and received.response_status in _COMPLETE
    return complete and any(_fits(wanted, received) for wanted in asked.wanted)


def _is_there(wanted: Wanted, received: Collection[Received]) -> bool:
    """Whether something is, for every line it is wanted for. Without a line it is for all."""
    fitting = [each for each in received if _fits(wanted, each)]
    if any(not each.lines for each in fitting):
        return True
    covered = {line for each in fitting for line in each.lines}
    return bool(fitting) and {str(line) for line in wanted.lines} <= covered


def _fits(wanted: Wanted, received: Received) -> bool:
    if wanted.questionnaire is None:
        return received.code == wanted.code
    if received.questionnaire is None:
        return False
    return _is_form(received.questionnaire, wanted.questionnaire)


def _is_form(answered: str, wanted: str) -> bool:
    """Whether it is the form wanted, of either line, whole or adaptive, in the version wanted."""
    url, _, version = answered.partition("|")
    wanted_url, _, wanted_version = wanted.partition("|")
    if wanted_version not in ("", version):
        return False
    return {url, wanted_url} <= {wanted_url} | questionnaire_urls(service_of(wanted_url))


@dataclass(frozen=True, slots=True)
class AttachmentFacts:
    """An attachment as a list shows it. `sha256` is that of its bytes, `size` counts them."""

    id: UUID
    received_at: datetime
    kind: AttachmentKind
    state: AttachmentState
    resource_type: str
    media_type: str
    size: int
    sha256: bytes
    code: Code | None
    lines: tuple[str, ...]
    questionnaire: str | None
    finding: str | None
