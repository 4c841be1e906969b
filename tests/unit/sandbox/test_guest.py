"""The guests' catalogue: one service for whatever codes come, and no gate."""

from datetime import date

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.requested import CPT, Code
from wiser_fhir.sandbox.guest import SLUG, GuestCatalogue

CATALOGUE = Catalogue.load()
DAY = date(2026, 11, 20)
ANY = Code("https://codesystem.x12.org/005010/1365", "3")


def test_every_code_of_the_request_is_the_guests_service() -> None:
    guest = GuestCatalogue.of(CATALOGUE, [ANY, Code(CPT, "64483")])
    found = [guest.rules_for(code, DAY) for code in (ANY, Code(CPT, "64483"))]
    assert [rules.slug if rules else None for rules in found] == [SLUG, SLUG]
    assert {entry.role for entry in guest.guest.codes} == {"primary"}


def test_no_other_code_is() -> None:
    assert GuestCatalogue.of(CATALOGUE, [ANY]).recognised(Code(CPT, "64483"), DAY) is None


def test_there_is_no_gate_and_every_clock_stays() -> None:
    guest = GuestCatalogue.of(CATALOGUE, [ANY])
    assert guest.process.gates == ()
    assert guest.process.timeframes == CATALOGUE.process.timeframes
    assert guest.states == CATALOGUE.states


def test_nobody_but_guests_sees_their_service() -> None:
    assert SLUG not in CATALOGUE.slugs
    assert CATALOGUE.process.gates[0] == "participant"
