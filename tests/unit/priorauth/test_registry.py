"""What a registry file tells, and what it leaves open."""

from datetime import date
from pathlib import Path

import pytest

from wiser_fhir.coverage.loading import CatalogueError
from wiser_fhir.priorauth.registry import Enrolment, InMemoryRegistry, Membership, Registry

TEXT = """
[[beneficiaries]]
mbi = "1EG4TE5MK73"

[[beneficiaries]]
mbi = "1EG4TE5MK74"
deceased = true

[[beneficiaries]]
mbi = "1EG4TE5MK75"
medicare_advantage = [{ first = 2026-03-01, last = 2026-03-31 }, { first = 2026-06-01 }]

[[beneficiaries]]
mbi = "1EG4TE5MK77"
nobody = true

[[providers]]
npi = "1234567893"
status = "enrolled"

[[providers]]
npi = "1245319599"
status = "ineligible"

[[exemptions]]
npi = "1234567893"
service = "epidural-steroid-injection"
first = 2026-07-01
"""


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    path = tmp_path / "registry.toml"
    path.write_text(TEXT, encoding="utf-8")
    return InMemoryRegistry.load(path)


def test_beneficiaries(registry: Registry) -> None:
    assert registry.beneficiary("1EG4TE5MK73") is Membership.KNOWN
    assert registry.beneficiary("1EG4TE5MK74") is Membership.DECEASED
    assert registry.beneficiary("1EG4TE5MK77") is Membership.NOT_FOUND
    assert registry.medicare_advantage("1EG4TE5MK77", date(2026, 5, 4)) is False
    assert registry.beneficiary("1EG4TE5MK76") is Membership.UNKNOWN


@pytest.mark.parametrize("more", ["deceased = true", "medicare_advantage = [{}]"])
def test_nobody_has_no_life_of_its_own(tmp_path: Path, more: str) -> None:
    path = tmp_path / "registry.toml"
    entry = f'[[beneficiaries]]\nmbi = "1EG4TE5MK77"\nnobody = true\n{more}\n'
    path.write_text(entry, encoding="utf-8")
    with pytest.raises(CatalogueError, match="nobody has neither died nor a plan"):
        InMemoryRegistry.load(path)


@pytest.mark.parametrize(
    ("mbi", "on", "enrolled"),
    [
        ("1EG4TE5MK75", "2026-02-28", False),
        ("1EG4TE5MK75", "2026-03-01", True),
        ("1EG4TE5MK75", "2026-03-31", True),
        ("1EG4TE5MK75", "2026-04-01", False),
        ("1EG4TE5MK75", "2030-01-01", True),
        ("1EG4TE5MK73", "2026-03-01", False),
        ("1EG4TE5MK76", "2026-03-01", None),
    ],
)
def test_medicare_advantage(registry: Registry, mbi: str, on: str, enrolled: bool | None) -> None:
    assert registry.medicare_advantage(mbi, date.fromisoformat(on)) is enrolled


def test_providers(registry: Registry) -> None:
    assert registry.provider("1234567893") is Enrolment.ENROLLED
    assert registry.provider("1245319599") is Enrolment.INELIGIBLE
    assert registry.provider("1679576722") is Enrolment.UNKNOWN


def test_exemptions_hold_for_a_provider_a_service_and_days(registry: Registry) -> None:
    service, day = "epidural-steroid-injection", date(2026, 7, 1)
    assert registry.exempt("1234567893", service, day) is True
    assert registry.exempt("1234567893", service, date(2026, 6, 30)) is False
    assert registry.exempt("1234567893", "knee-arthroscopy-oa", day) is False
    assert registry.exempt("1245319599", service, day) is False


def test_an_empty_registry_knows_nothing() -> None:
    empty = InMemoryRegistry()
    assert empty.beneficiary("1EG4TE5MK73") is Membership.UNKNOWN
    assert empty.medicare_advantage("1EG4TE5MK73", date(2026, 5, 4)) is None
    assert empty.provider("1234567893") is Enrolment.UNKNOWN
    assert empty.exempt("1234567893", "pild", date(2026, 5, 4)) is None


def test_a_registry_can_know_everybody(tmp_path: Path) -> None:
    path = tmp_path / "registry.toml"
    path.write_text('[defaults]\nbeneficiary = "known"\nprovider = "enrolled"\n', encoding="utf-8")
    registry = InMemoryRegistry.load(path)
    assert registry.beneficiary("1EG4TE5MK73") is Membership.KNOWN
    assert registry.medicare_advantage("1EG4TE5MK73", date(2026, 5, 4)) is False
    assert registry.provider("1234567893") is Enrolment.ENROLLED


@pytest.mark.parametrize("kind", ["beneficiaries", "providers"])
def test_a_number_stands_once(tmp_path: Path, kind: str) -> None:
    entry = TEXT.split("\n\n")[0 if kind == "beneficiaries" else 4]
    path = tmp_path / "registry.toml"
    path.write_text(f"{entry}\n\n{entry}\n", encoding="utf-8")
    with pytest.raises(CatalogueError, match=r"registry\.toml: a number stands twice"):
        InMemoryRegistry.load(path)
