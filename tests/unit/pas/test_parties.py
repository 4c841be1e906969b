"""Who takes part in a request, in which role, known by which numbers."""

import pytest

from tests.bundles import Json, request_bundle, valid_npi
from tests.unit.pas.reading import add, claim, of_kind, read, with_profile
from wiser_fhir.fhir import codes
from wiser_fhir.intake.parties import npis_of
from wiser_fhir.pas.parties import requester_npis
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.priorauth.models import Party, PartyRole

ORDERING = valid_npi("199999055")


def _only(bundle: Json, role: PartyRole) -> Party:
    (party,) = [party for party in read(bundle).parties if party.role is role]
    return party


def _member(bundle: Json, resource: Json, role: str | None) -> Json:
    """A care team of one."""
    member: Json = {"sequence": 1, "provider": add(bundle, resource)}
    if role is not None:
        member["role"] = {
            "coding": [{"system": "https://codesystem.x12.org/005010/98", "code": role}]
        }
    claim(bundle)["careTeam"] = [member]
    del claim(bundle)["facility"]
    return member


def test_everybody_in_the_order_of_the_claim() -> None:
    parties = read(request_bundle(ordering_npi=ORDERING)).parties
    assert [party.role for party in parties] == [
        PartyRole.REQUESTER,
        PartyRole.RENDERING,
        PartyRole.FACILITY,
        PartyRole.ORDERING,
        PartyRole.FACILITY,
    ]


def test_the_requester_is_the_claims_provider() -> None:
    party = _only(request_bundle(), PartyRole.REQUESTER)
    assert party == Party(
        PartyRole.REQUESTER,
        name="Made-up Clinic",
        npi=valid_npi("199999010"),
        tin="000000001",
        state="TX",
    )


def test_a_role_lends_what_stands_behind_it() -> None:
    party = _only(request_bundle(), PartyRole.RENDERING)
    assert party.name == "Robin Testwright"
    assert party.npi == valid_npi("199999020")
    assert party.ptan == "TST12345"
    assert party.tin == "000000001"  # its organization's


def test_a_roles_own_number_goes_before_what_it_lends() -> None:
    bundle = request_bundle()
    of_kind(bundle, "PractitionerRole")["identifier"] = [{"system": codes.NPI, "value": "own"}]
    assert _only(bundle, PartyRole.RENDERING).npi == "own"


@pytest.mark.parametrize(
    ("code", "role"),
    [
        ("DK", PartyRole.ORDERING),
        ("DN", PartyRole.ORDERING),
        ("FA", PartyRole.FACILITY),
        ("77", PartyRole.FACILITY),
        ("SJ", PartyRole.RENDERING),
        (None, PartyRole.RENDERING),
    ],
)
def test_a_care_team_role_tells_what_a_clinician_is(code: str | None, role: PartyRole) -> None:
    bundle = request_bundle()
    _member(bundle, {"resourceType": "Practitioner", "name": [{"text": "Dr. A"}]}, code)
    assert [p.role for p in read(bundle).parties if p.name == "Dr. A"] == [role]


@pytest.mark.parametrize("code", ["SJ", None])
def test_an_organization_in_the_care_team_is_a_facility_unless_told(code: str | None) -> None:
    bundle = request_bundle()
    _member(bundle, {"resourceType": "Organization", "name": "Ward"}, code)
    assert _only(bundle, PartyRole.FACILITY).name == "Ward"


def test_of_several_codings_of_a_role_the_first_known_one_counts() -> None:
    bundle = request_bundle()
    member = _member(bundle, {"resourceType": "Practitioner"}, "unknown")
    member["role"]["coding"] += [{"code": "DN"}, {"code": "FA"}]
    assert _only(bundle, PartyRole.ORDERING)


@pytest.mark.parametrize("system", codes.TIN)
def test_a_tax_number_has_two_names(system: str) -> None:
    bundle = request_bundle()
    with_profile(bundle, "profile-requestor")["identifier"] = [{"system": system, "value": "12"}]
    assert _only(bundle, PartyRole.REQUESTER).tin == "12"


def test_a_hospital_is_known_by_its_ccn() -> None:
    bundle = request_bundle(site="22")
    facility = read(bundle).parties[2]
    assert (facility.ccn, facility.ptan) == ("670099", None)


def test_a_surgical_center_is_known_by_its_ptan() -> None:
    facility = read(request_bundle(site="24")).parties[2]
    assert (facility.ccn, facility.ptan) == (None, "670099")


def test_a_place_lends_what_the_organization_behind_it_says() -> None:
    facility = read(request_bundle()).parties[-1]
    assert facility.role is PartyRole.FACILITY
    assert facility.name == "Made-up Surgical Center, main building"
    assert facility.npi == valid_npi("199999030")


def test_who_cannot_be_found_takes_no_part() -> None:
    bundle = request_bundle()
    nowhere = {"reference": "urn:uuid:nowhere"}
    claim(bundle)["provider"] = nowhere
    claim(bundle)["facility"] = nowhere
    claim(bundle)["careTeam"] = [
        {"sequence": 1, "provider": nowhere},
        {"sequence": 2, "provider": {"display": "Dr. A"}},
    ]
    assert read(bundle).parties == ()


def test_who_is_named_by_number_alone_takes_part() -> None:
    bundle = request_bundle()
    number = {"system": codes.NPI, "value": ORDERING}
    claim(bundle)["provider"] = {"type": "Organization", "identifier": number}
    claim(bundle)["careTeam"] = [{"sequence": 1, "provider": {"identifier": number}}]
    del claim(bundle)["facility"]
    assert read(bundle).parties == (
        Party(PartyRole.REQUESTER, npi=ORDERING),
        Party(PartyRole.RENDERING, npi=ORDERING),
    )


def test_who_is_contained_in_the_claim_takes_part() -> None:
    bundle = request_bundle()
    number = {"system": codes.NPI, "value": ORDERING}
    claim(bundle)["contained"] = [
        {"resourceType": "PractitionerRole", "id": "role", "practitioner": {"reference": "#who"}},
        {"resourceType": "Practitioner", "id": "who", "identifier": [number]},
    ]
    claim(bundle)["provider"] = {"reference": "#role"}
    assert _only(bundle, PartyRole.REQUESTER).npi == ORDERING
    claim(bundle)["provider"] = {"reference": "#nobody"}
    assert PartyRole.REQUESTER not in [party.role for party in read(bundle).parties]


@pytest.mark.parametrize(
    ("name", "read_as"),
    [
        ([{"family": "A", "given": ["B", "C"]}], "B C A"),
        ([{"family": "A"}], "A"),
        ([{"text": "Dr. B"}], "Dr. B"),
        ([], None),
        (None, None),
        ("Clinic", "Clinic"),
    ],
)
def test_names_of_people_and_of_organizations(name: object, read_as: str | None) -> None:
    bundle = request_bundle()
    resource = {"resourceType": "Practitioner", "name": name}
    _member(bundle, {k: v for k, v in resource.items() if v is not None}, "DK")
    assert _only(bundle, PartyRole.ORDERING).name == read_as


def test_a_number_without_a_value_is_none() -> None:
    bundle = request_bundle()
    identifiers = [{"system": codes.NPI}, {"type": {"text": "PTAN"}}]
    _member(bundle, {"resourceType": "Practitioner", "identifier": identifiers}, "DK")
    party = _only(bundle, PartyRole.ORDERING)
    assert (party.npi, party.ptan) == (None, None)


# Under which numbers a request names its sender

CLINIC, CLINICIAN = valid_npi("199999010"), valid_npi("199999020")
FOREIGN = valid_npi("199999088")


def _requester(bundle: Json) -> frozenset[str]:
    return requester_npis(RequestBundle.of(bundle))


def _number(value: str, system: str = codes.NPI) -> Json:
    return {"system": system, "value": value}


def test_a_sender_is_named_by_the_claims_provider() -> None:
    assert _requester(request_bundle()) == {CLINIC}


@pytest.mark.parametrize("system", codes.NPI_SYSTEMS)
@pytest.mark.parametrize("place", [0, 99])
def test_every_number_of_the_sender_counts(system: str, place: int) -> None:
    bundle = request_bundle()
    identifiers = with_profile(bundle, "profile-requestor")["identifier"]
    identifiers.insert(place, _number(FOREIGN, system))
    assert _requester(bundle) == {CLINIC, FOREIGN}


def test_the_references_own_number_counts_beside_what_it_leads_to() -> None:
    bundle = request_bundle()
    claim(bundle)["provider"]["identifier"] = _number(FOREIGN)
    assert _requester(bundle) == {CLINIC, FOREIGN}


def test_behind_a_role_stand_its_practitioner_and_its_organization() -> None:
    bundle = request_bundle()
    role = next(e for e in bundle["entry"] if e["resource"]["resourceType"] == "PractitionerRole")
    claim(bundle)["provider"] = {"reference": role["fullUrl"]}
    assert _requester(bundle) == {CLINIC, CLINICIAN}
    role["resource"]["identifier"] = [_number(FOREIGN)]
    assert _requester(bundle) == {CLINIC, CLINICIAN, FOREIGN}


@pytest.mark.parametrize(
    "provider",
    [
        None,
        {"display": "somebody"},
        {"reference": "urn:uuid:nowhere"},
        {"identifier": {"system": "HTTP://hl7.org/fhir/sid/us-npi", "value": FOREIGN}},
        {"identifier": {"system": codes.NPI}},
        {"identifier": {"value": FOREIGN}},
    ],
)
def test_a_sender_may_be_named_by_no_number(provider: Json | None) -> None:
    bundle = request_bundle()
    claim(bundle)["provider"] = provider
    assert _requester(bundle) == frozenset()


def test_a_sender_may_be_named_by_number_alone_or_inside_the_claim() -> None:
    bundle = request_bundle()
    claim(bundle)["provider"] = {"identifier": _number(FOREIGN)}
    assert _requester(bundle) == {FOREIGN}
    inside = {"resourceType": "Organization", "id": "us", "identifier": [_number(FOREIGN)]}
    claim(bundle)["contained"] = [inside]
    claim(bundle)["provider"] = {"reference": "#us"}
    assert _requester(bundle) == {FOREIGN}


def test_what_is_no_list_of_identifiers_has_no_number() -> None:
    assert npis_of({"identifier": ["x", {"system": codes.NPI}, {"value": FOREIGN}]}) == frozenset()
    assert npis_of({}) == frozenset()


def test_a_party_is_known_by_either_name_of_the_number() -> None:
    bundle = request_bundle()
    identifiers = with_profile(bundle, "profile-requestor")["identifier"]
    identifiers[0]["system"] = codes.NPI_SYSTEMS[1]
    assert _only(bundle, PartyRole.REQUESTER).npi == CLINIC
