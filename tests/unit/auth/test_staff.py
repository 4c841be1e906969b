"""Who may be put on the list of people, by the roles together."""

from dataclasses import replace
from datetime import date

import pytest

from wiser_fhir.auth.staff import Account, Licence, Person, PersonRefused

LICENCE = Licence("TX", "T-1", date(2027, 1, 31))
AUDITOR = Person("Ada", ("auditor",))
PROVIDER = Person("Petra", ("provider-operator",), organizations=("Clinic",))


@pytest.mark.parametrize(
    "person",
    [
        AUDITOR,
        PROVIDER,
        replace(AUDITOR, roles=("clinician", "auditor"), licence=LICENCE),
        replace(AUDITOR, roles=("operations",)),
        replace(AUDITOR, organizations=("Clinic",)),
        replace(AUDITOR, account=Account("https://login.example", "248289761001")),
        replace(PROVIDER, roles=("provider-operator", "provider-admin")),
    ],
)
def test_who_may_be(person: Person) -> None:
    person.check()


@pytest.mark.parametrize(
    ("person", "told"),
    [
        (replace(AUDITOR, name=" "), "has a name"),
        (replace(AUDITOR, roles=()), "a role is one of"),
        (replace(AUDITOR, roles=("auditor", "king")), "a role is one of"),
        (replace(AUDITOR, roles=("clinician",)), "has a licence"),
        (replace(PROVIDER, roles=("provider-admin", "auditor")), "who works for a provider"),
        (replace(PROVIDER, organizations=()), "belongs to an organization"),
        (replace(AUDITOR, account=Account("", "x")), "an account is"),
        (replace(AUDITOR, account=Account("https://login.example", "a\nb")), "an account is"),
        (replace(AUDITOR, account=Account("https://login.example", "x" * 256)), "an account is"),
    ],
)
def test_who_may_not(person: Person, told: str) -> None:
    with pytest.raises(PersonRefused, match=told):
        person.check()
