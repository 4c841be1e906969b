"""What in a request contradicts itself or asks for more than a new request does.

Software must not affirm over a contradiction: each doubt sends the request to a clinician.
"""

import re
from collections.abc import Iterator
from datetime import date

from wiser_fhir.clock import business_date
from wiser_fhir.coverage.requested import CPT, HCPCS
from wiser_fhir.fhir import codes
from wiser_fhir.fhir.elements import Json, codings, extension
from wiser_fhir.fhir.values import day_of, instant, service_dates
from wiser_fhir.intake.member import member_numbers
from wiser_fhir.intake.parties import npis_of
from wiser_fhir.pas.evidence import is_withdrawn, named_resources
from wiser_fhir.pas.people import About, about, followed, placed_resources
from wiser_fhir.pas.request import (
    CANCEL,
    RequestBundle,
    certification_types,
    resources_in,
)

# X12 1322: an update may leave a line as it was, revise it or cancel it.
_INITIAL = frozenset({"I"})
_OF_AN_UPDATE = frozenset({"I", "S", CANCEL})
_STATE = re.compile("[A-Z]{2}")
_PROCEDURES = (CPT, HCPCS)
_HOME = frozenset({"US", "USA", "UNITED STATES"})
_ABOUT_SOMEBODY = ("subject", "patient", "beneficiary")
_DEATH = ("deceasedDateTime", "_deceasedDateTime", "_deceasedBoolean")


def doubts(request: RequestBundle) -> tuple[str, ...]:
    """Everything a person has to look at, in plain words without data about anybody."""
    found = (
        *_of_the_claim(request.claim),
        *_of_another_kind(request),
        *_of_the_items(request),
        *_of_the_person(request),
        *_of_the_coverage(request),
        *_of_the_forms(request),
        *_of_the_providers(request),
        *_of_other_people(request),
    )
    return tuple(dict.fromkeys(found))


def _of_the_claim(claim: Json) -> Iterator[str]:
    for holder in (claim, *claim.get("item", ())):
        if extension(holder, codes.PRODUCT_OR_SERVICE_CODE_END):
            yield "A range of codes is asked for."
    if any("detail" in item for item in claim.get("item", ())):
        yield "A line is split into details."


def _of_another_kind(request: RequestBundle) -> Iterator[str]:
    """What belongs to a request that follows another. An update names its own numbers."""
    claim, update = request.claim, request.is_update()
    for holder in (claim, *claim.get("item", ())):
        if certification_types(holder) - (_OF_AN_UPDATE if update else _INITIAL):
            kind = "an update" if update else "an initial request"
            yield f"The certification type is not that of {kind}."
        if extension(holder, codes.ADMINISTRATION_REFERENCE_NUMBER) and not update:
            yield "The request names a reference number given before."
    if any(i.get("preAuthRef") for i in claim.get("insurance", ())) and not update:
        yield "The request names an authorization given before."


def _of_the_items(request: RequestBundle) -> Iterator[str]:
    for item in request.claim.get("item", ()):
        named = extension(item, codes.REQUESTED_SERVICE) or {}
        order = request.target(request.claim, named.get("valueReference"))
        if order is None:
            continue
        if is_withdrawn(order) or order.get("doNotPerform") is True:
            yield "The order behind a line is withdrawn, or says not to perform."
        ordered = {c["code"] for c in codings(order.get("code")) if c.get("system") in _PROCEDURES}
        asked = {c["code"] for c in codings(item.get("productOrService"))}
        if not ordered <= asked:
            yield "The order behind a line is for another procedure."


def _of_the_person(request: RequestBundle) -> Iterator[str]:
    patient = request.patient or {}
    if patient.get("deceasedBoolean") is True or any(map(patient.__contains__, _DEATH)):
        yield "The request says that the beneficiary has died."
    if patient.get("active") is False:
        yield "The beneficiary's record is not active."
    born = day_of(patient.get("birthDate"))
    made = instant(request.claim.get("created"))
    if born is not None and made is not None and born > business_date(made):
        yield "The date of birth lies in the future."
    numbers = member_numbers(request.patient or {}, request.focal_coverage or {})
    if len({number for number, _ in numbers}) > 1:
        yield "The request names more than one Medicare number."
    if any(_is_old(identifier) for _, identifier in numbers):
        yield "The Medicare number is marked as an old one."


def _is_old(identifier: Json) -> bool:
    return identifier.get("use") == "old" or "end" in identifier.get("period", {})


def _of_the_coverage(request: RequestBundle) -> Iterator[str]:
    focal = [i for i in request.claim.get("insurance", ()) if i.get("focal")]
    if len(focal) > 1:
        yield "More than one coverage is named as the one that counts."
    coverage = request.focal_coverage or {}
    beneficiary = request.target(coverage, coverage.get("beneficiary"))
    if beneficiary is not request.patient:
        yield "The coverage is another person's."
    period = coverage.get("period", {})
    starts = day_of(period.get("start")) or date.min
    ends = day_of(period.get("end")) or date.max
    if not all(starts <= day <= ends for day in _days(request)):
        yield "The coverage does not reach over the service."


def _days(request: RequestBundle) -> Iterator[date]:
    for item in request.claim.get("item", ()):
        yield from (day for day in service_dates(item) if day is not None)


def _of_the_forms(request: RequestBundle) -> Iterator[str]:
    linked = {id(resource) for resource in named_resources(request)}
    for entry in request.bundle["entry"]:
        resource = entry["resource"]
        if resource["resourceType"] == "QuestionnaireResponse" and id(resource) not in linked:
            yield "A form came that the Claim does not point at."
        if resource["resourceType"] != "Bundle":
            continue
        if id(resource) not in linked or not _is_plain_collection(resource):
            yield "A Bundle of forms is not a plain collection that the Claim points at."
        if not _begins_with_its_only_form(resource):
            yield "A Bundle of forms does not begin with its one form."


def _is_plain_collection(bundle: Json) -> bool:
    inner = (entry.get("resource", {}) for entry in bundle.get("entry", ()))
    return bundle.get("type") == "collection" and all(
        each.get("resourceType") != "Bundle" for each in inner
    )


def _begins_with_its_only_form(bundle: Json) -> bool:
    """What DTR asks of a Bundle with a form. Source: DTR 2.2.0 §spec-156 to §spec-158."""
    kinds = [entry.get("resource", {}).get("resourceType") for entry in bundle.get("entry", ())]
    forms = [place for place, kind in enumerate(kinds) if kind == "QuestionnaireResponse"]
    return forms in ([], [0])


def _of_the_providers(request: RequestBundle) -> Iterator[str]:
    for resource in resources_in(request.bundle):
        if len(npis_of(resource)) > 1:
            yield "A provider is named with more than one NPI."
        for address in _addresses(resource):
            country = address.get("country")
            if country is not None and country.strip().upper() not in _HOME:
                yield "An address lies outside the United States."
            if not _STATE.fullmatch(address.get("state", "XX").strip().upper()):
                yield "An address does not name its state by two letters."


def _addresses(resource: Json) -> list[Json]:
    if resource["resourceType"] not in ("Organization", "Location", "Practitioner"):
        return []
    address = resource.get("address", [])
    return address if isinstance(address, list) else [address]


def _of_other_people(request: RequestBundle) -> Iterator[str]:
    """Records about anybody or anything but the patient have no place in a request."""
    for resource, holder, around in placed_resources(request):
        for name in _ABOUT_SOMEBODY:
            reference = resource.get(name)
            if not isinstance(reference, dict):
                continue
            named = followed(request, around, holder, reference) or {}
            if name == "beneficiary" and named.get("resourceType") != "Patient":
                continue
            if about(request, around, holder, reference) is About.SOMEBODY_ELSE:
                yield "A part of the request is about another person."
