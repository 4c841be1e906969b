"""The scripts as data: whole, of use, and documented."""

from pathlib import Path

import pytest

from wiser_fhir.coverage.loading import CatalogueError
from wiser_fhir.priorauth.rules import is_mbi
from wiser_fhir.resources import resource_path
from wiser_fhir.sandbox.scenarios import Member, Scenarios
from wiser_fhir.sandbox.suite import SuiteCards
from wiser_fhir.sandbox.tenant import Tenant

SCENARIOS = Scenarios.load()
OF_THE_GUIDES = ("12345678901", "1122334455")


def row(member: Member) -> str:
    when = f"after {member.after} s" if member.after else "at once"
    guest = "guest" if member.guest else ""
    return f"| `{member.number}` | {when} | {guest} | {SCENARIOS.script_of(member).tells} |"


def test_the_documentation_lists_every_member() -> None:
    page = (resource_path("docs") / "sandbox.md").read_text("utf-8")
    listed = [line for line in page.splitlines() if line.startswith("| `")]
    assert listed == [row(member) for member in SCENARIOS.members]


def test_members_have_numbers_that_could_be_medicares() -> None:
    """But for those that the guides' examples carry."""
    odd = [number for number in SCENARIOS.numbers if not is_mbi(number)]
    assert tuple(odd) == OF_THE_GUIDES


def test_nobody_is_a_test_member_of_two_kinds() -> None:
    others = {each.mbi for each in SuiteCards.load().file.members}
    others |= {each.mbi for each in Tenant.load().registry.beneficiaries}
    assert others.isdisjoint(SCENARIOS.numbers)


def test_every_script_has_a_member() -> None:
    assert {member.script for member in SCENARIOS.members} == SCENARIOS.scripts.keys()


def test_the_clinician_is_a_licensed_person_of_the_tenant() -> None:
    (who,) = [each for each in Tenant.load().people if each.name == SCENARIOS.clinician]
    assert "clinician" in who.roles
    assert who.licence_number is not None


def test_nobody_else_is_a_test_member() -> None:
    assert SCENARIOS.of("1EG4TE5MK73") is None
    assert SCENARIOS.of(None) is None


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ([("1", "nothing")], "no such script: nothing"),
        ([("1", "wait"), ("1", "wait")], "1 stands twice"),
    ],
)
def test_what_does_not_fit_together_stops_the_start(
    members: list[tuple[str, str]], fault: str, tmp_path: Path
) -> None:
    file = tmp_path / "scenarios.toml"
    told = ['clinician = "Rhoda Reviewer"', "[scripts.wait]", 'tells = "nothing"']
    for number, script in members:
        told += ["[[members]]", f'number = "{number}"', f'script = "{script}"']
    file.write_text("\n".join(told), encoding="utf-8")
    with pytest.raises(CatalogueError, match=fault):
        Scenarios.load(file)
