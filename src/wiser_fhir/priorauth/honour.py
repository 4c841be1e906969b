"""An answer given in CRD is kept in PAS, or the difference is explained. Pure.

An assertion says what an order comes to; the request that follows is decided by itself. Where the
two part, something has changed in between: this finds out what, and says it in words that name no
fact about a person.

Source: CRD 2.2.1 §resp-46; PAS 2.2.1, profile-claimresponse (processNote).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from wiser_fhir.clock import business_date
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.requested import CPT, HCPCS
from wiser_fhir.priorauth.ledger import AssertionRecord
from wiser_fhir.priorauth.models import (
    DismissalReason,
    PartyRole,
    PriorAuthorization,
    RequestedItem,
    Submission,
)
from wiser_fhir.priorauth.situation import Situation

_NONE_NEEDED = "that no prior authorization is needed"
_ASKED_ELSEWHERE = "that somebody else is to be asked"
_WORDS: Mapping[Situation, str] = {
    Situation.NEEDS_AUTHORIZATION: "that prior authorization is asked for",
    Situation.NON_AFFIRMED: "that prior authorization is asked for",
    Situation.ADD_ON_ALONE: "that prior authorization is asked for",
    Situation.PENDED: "that a request is in review",
    Situation.SATISFIED: "that an authorization is there already",
    Situation.EXEMPT: "that the provider is exempt",
    Situation.OTHER_MODEL_STATE: _ASKED_ELSEWHERE,
    Situation.MEDICARE_ADVANTAGE: _ASKED_ELSEWHERE,
    Situation.MEMBER_NOT_FOUND: "that the member was not found",
    Situation.MEMBER_ENDED: "that there is no coverage",
    Situation.COVERAGE_ENDED: "that there is no coverage",
    Situation.INELIGIBLE: "that the provider may not bill",
}

# Answers that leave open what a request comes to: nothing can part from them.
_OPEN = frozenset({Situation.MISSING, Situation.TECHNICAL})
_TAKEN = frozenset(
    {
        Situation.NEEDS_AUTHORIZATION,
        Situation.PENDED,
        Situation.NON_AFFIRMED,
        Situation.ADD_ON_ALONE,
    }
)
# A request with nothing else wrong would be closed for this reason. The rest is "not a WISeR
# service"; what only an order tells (an encounter, a coverage that ended) no request is closed for.
_REASONS: Mapping[Situation, DismissalReason] = {
    Situation.EXEMPT: DismissalReason.EXEMPT_PROVIDER,
    Situation.OTHER_MODEL_STATE: DismissalReason.WRONG_PARTICIPANT_OR_MAC,
    Situation.MEDICARE_ADVANTAGE: DismissalReason.MEDICARE_ADVANTAGE_OR_MEDICAID,
    Situation.MEMBER_NOT_FOUND: DismissalReason.INVALID_BENEFICIARY,
    Situation.MEMBER_ENDED: DismissalReason.INVALID_BENEFICIARY,
    Situation.INELIGIBLE: DismissalReason.INELIGIBLE_PROVIDER,
}
_PERFORMERS = (PartyRole.RENDERING, PartyRole.FACILITY)
_CHANGES = {
    "date": "the date of service is another",
    "state": "the state of the service is another",
    "site": "the place of service is another",
    "performers": "the provider is another",
    "diagnoses": "the diagnosis is another",
}


def facts_of(submission: Submission, item: RequestedItem) -> dict[str, Any]:
    """What an answer about a line hangs on, as JSON: kept with the answer, compared later."""
    day, site = item.service.date_of_service, item.site
    return {
        "date": day.isoformat() if day else None,
        "state": item.service.state,
        "site": f"{site.kind}:{site.code}" if site else None,
        "performers": sorted(
            {p.npi for p in submission.parties if p.npi and p.role in _PERFORMERS}
        ),
        "diagnoses": sorted(set(submission.diagnoses)),
    }


def honouring(
    case: PriorAuthorization,
    submission: Submission,
    assertions: Iterable[AssertionRecord],
    catalogue: Catalogue,
) -> PriorAuthorization:
    """The case with the answers that the request named, and a remark for each it departs from.

    An answer about another beneficiary is none to this request: it is left out, as one that is
    not the organization's.
    """
    mbi = submission.beneficiary.mbi
    named = tuple(each for each in assertions if mbi is None or each.mbi in (None, mbi))
    remarks = (_remark(case, submission, each, catalogue) for each in named)
    return replace(
        case,
        assertions=tuple(each.id for each in named),
        remarks=tuple(dict.fromkeys(filter(None, remarks))),
    )


def _remark(
    case: PriorAuthorization,
    submission: Submission,
    assertion: AssertionRecord,
    catalogue: Catalogue,
) -> str | None:
    situation = Situation(assertion.situation)
    if _agree(situation, case):
        return None
    changes = list(_changes(submission, assertion, catalogue))
    if not changes:
        changes = [_unseen(situation, case)]
    said = _WORDS.get(situation, _NONE_NEEDED)
    return (
        f"Coverage information of {business_date(assertion.made_at)} ({assertion.id}) said {said}."
        f" This answer differs: {'; '.join(changes)}."
    )


def _agree(situation: Situation, case: PriorAuthorization) -> bool:
    """Whether a case came to what was said. A duplicate is a request for what is in review."""
    if situation in _OPEN:
        return True
    reason = case.dismissal.reason if case.dismissal else None
    if situation in _TAKEN:
        return reason in (None, DismissalReason.DUPLICATE)
    if situation is Situation.SATISFIED:
        return reason is DismissalReason.DUPLICATE
    return reason is _REASONS.get(situation, DismissalReason.NON_WISER_SERVICE)


def _changes(
    submission: Submission, assertion: AssertionRecord, catalogue: Catalogue
) -> Iterator[str]:
    """What is not as it was when the answer was given, as far as both sides tell."""
    on = business_date(submission.received_at)
    if assertion.expires_on is not None and on > assertion.expires_on:
        yield f"that held until {assertion.expires_on}"
    line = _line_of(submission, assertion.codes)
    if line is None:
        yield "the code is another"
        return
    now = facts_of(submission, line)
    for name, words in _CHANGES.items():
        if _differ(assertion.asked.get(name), now[name]):
            yield words
    rules = catalogue.service(assertion.service, on) if assertion.service else None
    if rules is not None and assertion.rules is not None and rules.version != assertion.rules:
        yield f"the rules of {rules.version} are in force now"


def _line_of(submission: Submission, codes: tuple[str, ...]) -> RequestedItem | None:
    """The line that asks for what the answer was about."""
    for item in submission.items:
        if any(c.code in codes and c.system in (CPT, HCPCS) for c in item.service.codes):
            return item
    return None


def _differ(before: Any, now: Any) -> bool:
    """Two single facts that are not the same; two lists of which neither holds the other."""
    if not before or not now:
        return False
    if isinstance(before, list):
        return not (set(before) <= set(now) or set(now) <= set(before))
    return bool(before != now)


def _unseen(situation: Situation, case: PriorAuthorization) -> str:
    """Why, where nothing that the request tells has changed."""
    if case.dismissal is not None and case.dismissal.reason is DismissalReason.EXEMPT_PROVIDER:
        return "the provider is exempt now"
    if situation is Situation.EXEMPT and case.dismissal is None:
        return "the provider is not exempt any more"
    if situation is Situation.SATISFIED:
        return "this is a request by itself"
    return "it rests on what the request and the records tell now"
