"""What an action is in FHIR, and by which words it is found again."""

import pytest

from wiser_fhir.audit.vocabulary import Act, act_of, failing, meaning, outcome_of, verbs_of

ACTIONS = (
    *("claim.submit", "case.read", "case.assign", "client.revoke", "claim.inquire"),
    *("notify.told", "notify.revoke", "something.unheard-of"),
)


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_is_of_one_kind_however_it_is_asked_for(action: str) -> None:
    assert meaning(action).act is act_of(action)


@pytest.mark.parametrize("act", Act)
def test_the_verbs_of_a_kind_are_those_of_its_actions(act: Act) -> None:
    verbs, but_verbs = verbs_of(act)
    if act is Act.EXECUTE:
        assert verbs is None
        assert but_verbs
        assert {act_of(f"claim.{verb}") for verb in but_verbs} == set(Act) - {Act.EXECUTE}
    else:
        assert but_verbs is None
        assert verbs
        assert {act_of(f"claim.{verb}") for verb in verbs} == {act}


def test_a_word_that_is_new_is_an_operation() -> None:
    assert act_of("claim.unheard-of") is Act.EXECUTE
    assert meaning("claim.unheard-of").interaction == "operation"


def test_whoever_is_told_of_something_reads_it() -> None:
    assert act_of("notify.submit") is Act.READ
    assert meaning("notify.submit").disclosure


@pytest.mark.parametrize(
    ("action", "outcome", "code"),
    [
        ("claim.submit", "affirmed", "0"),
        ("claim.submit", "refused", "4"),
        ("request.refused", "login", "4"),
        ("notify.told", "gave-up", "4"),
        ("request.failed", "exception", "8"),
    ],
)
def test_how_it_ended(action: str, outcome: str, code: str) -> None:
    assert outcome_of(action, outcome) == code


def test_the_database_looks_for_the_same_words() -> None:
    for word in failing().split("|"):
        assert outcome_of("claim.submit", word) == "4"
