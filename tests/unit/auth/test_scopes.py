import pytest
from hypothesis import given
from hypothesis import strategies as st

from wiser_fhir.auth.scopes import (
    ALL_SCOPES,
    GRANTABLE,
    ScopeRefused,
    common,
    covers,
    grants,
    readable,
    spelled,
)


def may(granted: list[str], needed: str) -> bool:
    return covers(grants(granted), grants([needed]))


def test_a_scope_covers_its_letters_and_no_others() -> None:
    assert may(["system/Claim.cu"], "system/Claim.c")
    assert may(["system/Claim.c", "system/Claim.u"], "system/Claim.cu")
    assert not may(["system/Claim.c"], "system/Claim.cu")
    assert not may(["system/Claim.cu"], "system/ClaimResponse.r")
    assert not may([], "system/Claim.c")


def test_version_1_is_read_as_what_of_it_can_be_granted() -> None:
    assert spelled(grants(["system/ClaimResponse.read"])) == ("system/ClaimResponse.rs",)
    assert spelled(grants(["system/Claim.write"])) == ("system/Claim.cu",)
    assert spelled(grants(["system/Subscription.write"])) == ("system/Subscription.cud",)


def test_resources_are_compared_without_case_and_spelled_in_theirs() -> None:
    assert spelled(grants(["system/questionnaire.rs"])) == ("system/Questionnaire.rs",)
    assert may(["system/CLAIMRESPONSE.rs"], "system/ClaimResponse.rs")


@pytest.mark.parametrize(
    "scope",
    [
        "system/*.cruds",
        "system/*.read",
        "system/Claim.*",
        "system/Claim.",
        "system/Claim",
        "system/Claim.uc",
        "system/Claim.cc",
        "system/Claim.C",
        "system/Claim.d",
        "system/ClaimResponse.write",
        "system/ClaimResponse.rs?status=active",
        "system/Patient.r",
        "patient/Claim.c",
        "user/Claim.c",
        "openid",
        "offline_access",
        "",
        " system/Claim.c",
        "system/Claim.c\n",
        "system/Claim.c system/Claim.u",
    ],
)
def test_everything_else_is_refused(scope: str) -> None:
    with pytest.raises(ScopeRefused):
        grants([scope])


def test_of_stored_scopes_those_that_cannot_be_read_allow_nothing() -> None:
    stored = ["system/*.*", "system/Claim.c", "", "system/Claim.z", "system/Claim.u"]
    assert readable(stored) == grants(["system/Claim.cu"])
    assert readable(["patient/Claim.c"]) == {}


def test_all_scopes_are_the_table() -> None:
    assert grants(ALL_SCOPES) == {name: frozenset(letters) for name, letters in GRANTABLE.items()}


@given(
    st.lists(st.sampled_from(["system", "Claim", "ClaimResponse", "*", ".", "/", "c", "rs", "?"]))
)
def test_whatever_is_asked_nothing_beyond_the_table_is_granted(parts: list[str]) -> None:
    try:
        granted = grants(["".join(parts)])
    except ScopeRefused:
        return
    assert covers(grants(ALL_SCOPES), granted)


@given(st.lists(st.sampled_from(ALL_SCOPES)), st.sampled_from(ALL_SCOPES))
def test_what_was_not_granted_is_not_covered(granted: list[str], needed: str) -> None:
    assert may(granted, needed) == (needed in granted)


def test_what_both_allow_is_in_each() -> None:
    one = grants(["system/Claim.cu", "system/Task.rs", "system/Library.r"])
    other = grants(["system/Claim.c", "system/Library.s", "system/ValueSet.r"])
    assert spelled(common(one, other)) == ("system/Claim.c",)
