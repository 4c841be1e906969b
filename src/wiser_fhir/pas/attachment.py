"""A call of `$submit-attachment`: Parameters -> Delivery, once nothing is wrong with it.

Source: CDex 2.1.0, OperationDefinition submit-attachment.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from wiser_fhir import exact
from wiser_fhir.coverage.requested import Code
from wiser_fhir.errors import InvalidResource, Problem, ProfileViolation, TooLarge
from wiser_fhir.fhir.elements import Json
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.fhir.values import day_of
from wiser_fhir.pas.attachment_content import Reading, code_of, read_content, without_data
from wiser_fhir.pas.attachment_rules import parameter_problems
from wiser_fhir.priorauth.attached import Attached, AttachTo, Delivery
from wiser_fhir.priorauth.models import Identifier
from wiser_fhir.web.body import BOM

MOST_ATTACHMENTS = 100
_MOST_PARAMETERS = MOST_ATTACHMENTS + 20
_MANY = f"At most {MOST_ATTACHMENTS} attachments are taken at a time, each of few parts."
_NAMED = {"payer": "PayerId", "organization": "OrganizationId", "provider": "ProviderId"}


def read_delivery(body: bytes, resource: Json, validator: GuideValidator) -> Delivery:
    """What a call brings. `resource` is `body` parsed.

    Raises TooLarge, InvalidResource (breaks base R4) or ProfileViolation (breaks the operation's
    rules, or brings what is not taken), each with every problem found.
    """
    _check_shape(resource)
    plain = without_data(resource)
    faults = [p for p in validator.base_problems(plain) if p.severity == "error"]
    if faults:
        raise InvalidResource("The parameters are not valid FHIR R4.", faults)
    problems = parameter_problems(resource)
    if problems:
        raise ProfileViolation("The parameters are not those of the operation.", problems)
    if exact.needs_care(body):
        resource = exact.loads(body.removeprefix(BOM))
    return _delivery(resource["parameter"])


def named_lines(resource: Json) -> Iterator[tuple[str, str]]:
    """Each line that a sound call names, with the place where it does."""
    for position, entry in enumerate(resource["parameter"]):
        for number, part in enumerate(entry.get("part", ())):
            if part["name"] == "LineItem":
                where = f"Parameters.parameter[{position}].part[{number}].value"
                yield part["valueString"].strip(), where


def _check_shape(resource: Json) -> None:
    """What has to be right before anything is looked at closely, because effort grows with it."""
    if resource.get("resourceType") != "Parameters":
        text = "A Parameters resource is needed."
        raise InvalidResource(text, [Problem("error", "structure", text, "Parameters")])
    entries = resource.get("parameter")
    if not isinstance(entries, list):
        return
    named = [e for e in entries if isinstance(e, dict)]
    attached = sum(each.get("name") == "Attachment" for each in named)
    parts = [part for each in named if isinstance(part := each.get("part"), list)]
    lengths = [len(entries), *map(len, parts)]
    if attached > MOST_ATTACHMENTS or any(length > _MOST_PARAMETERS for length in lengths):
        raise TooLarge(_MANY, [Problem("error", "too-long", _MANY, "Parameters.parameter")])


def _delivery(entries: list[Json]) -> Delivery:
    given = {entry["name"]: entry for entry in entries}
    reference = given.get("AdminRefNumber", {}).get("valueIdentifier", {}).get("value")
    return Delivery(
        attach_to=AttachTo(given["AttachTo"]["valueCode"]),
        tracking=_identifier(given["TrackingId"]),
        reference=reference.strip() if reference else None,
        member=_identifier(given["MemberId"]).value.replace("-", "").upper(),
        named={key: _identifier(given[name]) for key, name in _NAMED.items() if name in given},
        service_date=day_of(given.get("ServiceDate", {}).get("valueDateTime")),
        final=given.get("Final", {}).get("valueBoolean", True),
        attachments=tuple(_attachments(entries)),
    )


def _identifier(entry: Json) -> Identifier:
    value = entry["valueIdentifier"]
    return Identifier(value.get("system"), value["value"].strip())


def _attachments(entries: list[Json]) -> list[Attached]:
    """Raises TooLarge, ProfileViolation."""
    found, reading = [], Reading()
    for position, entry in enumerate(entries):
        if entry["name"] == "Attachment":
            before = len(reading.files)
            _read_parts(reading, entry["part"], f"Parameters.parameter[{position}].part")
            found += [_described(each, entry["part"]) for each in reading.files[before:]]
    if reading.too_large:
        raise TooLarge("An attachment is too large.", reading.too_large)
    if reading.problems:
        raise ProfileViolation("An attachment cannot be taken.", reading.problems)
    return found


def _read_parts(reading: Reading, parts: list[Json], where: str) -> None:
    for position, part in enumerate(parts):
        if part["name"] == "Content":
            read_content(reading, part["resource"], f"{where}[{position}].resource")


def _described(attached: Attached, parts: list[Json]) -> Attached:
    """With the code and the lines that stand beside the content."""
    lines: Any = (p["valueString"].strip() for p in parts if p["name"] == "LineItem")
    concept = next((p["valueCodeableConcept"] for p in parts if p["name"] == "Code"), None)
    coded = code_of(concept)
    code = Code(*coded) if coded else None
    return replace(attached, lines=tuple(dict.fromkeys(lines)), code=code)
