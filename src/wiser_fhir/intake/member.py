"""The beneficiary: name, date of birth and Medicare number from Patient and Coverage."""

from collections.abc import Iterator

from wiser_fhir.fhir import codes
from wiser_fhir.fhir.elements import Json, code_in
from wiser_fhir.fhir.values import full_date
from wiser_fhir.priorauth.models import Beneficiary


def beneficiary(patient: Json, coverage: Json) -> Beneficiary:
    """The beneficiary as the core knows a person.

    The name is the first that has a family name. The number is trimmed, upper-case, without dashes:
    under Medicare's own system where somebody names one, else the member id of the Coverage; None
    where nobody gives one.
    """
    names: list[Json] = patient.get("name") or [{}]
    name = next((n for n in names if (n.get("family") or "").strip()), names[0])
    return Beneficiary(
        mbi=next((number for number, _ in member_numbers(patient, coverage)), None),
        family=name.get("family"),
        given=next(iter(name.get("given", ())), None),
        birth_date=full_date(patient.get("birthDate")),
    )


def member_numbers(patient: Json, coverage: Json) -> list[tuple[str, Json]]:
    """Every number that may be the beneficiary's Medicare number, best first, with its Identifier.

    A member id counts only where nothing is under Medicare's own system, or in the Coverage.
    """
    own = [*_under(patient, codes.MBI_SYSTEMS), *_under(coverage, codes.MBI_SYSTEMS)]
    members = [*_member_ids(coverage)]
    if "subscriberId" in coverage:
        members.append({"value": coverage["subscriberId"]})
    if not own and not members:
        members = list(_member_ids(patient))
    return [(_plain_number(i["value"]), i) for i in (*own, *members) if i.get("value")]


def medicare_numbers(resource: Json) -> frozenset[str]:
    """What a Patient or Coverage carries under Medicare's own systems."""
    numbers = (i.get("value") for i in _under(resource, codes.MBI_SYSTEMS))
    return frozenset(_plain_number(number) for number in numbers if number)


def _under(resource: Json, systems: tuple[str, ...]) -> Iterator[Json]:
    return (i for i in resource.get("identifier", ()) if i.get("system") in systems)


def _member_ids(resource: Json) -> Iterator[Json]:
    for identifier in resource.get("identifier", ()):
        if code_in(identifier.get("type"), codes.IDENTIFIER_TYPE) == "MB":
            yield identifier


def _plain_number(number: str) -> str:
    return number.replace("-", "").strip().upper()
