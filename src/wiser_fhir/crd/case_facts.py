"""The facts of a case that a text of the tables may name, by the name they have there."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from wiser_fhir.clock import EASTERN
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.crd.qualifiers import billers, facility_bills
from wiser_fhir.crd.situations import answer_words
from wiser_fhir.priorauth.foresee import Foreseen, Missing
from wiser_fhir.priorauth.models import Submission
from wiser_fhir.priorauth.standing import Standing

# How a request's gate says it; an order has no lines.
_NO_CODE, _NOT_LISTED = (
    "No line carries a code of the model.",
    "This code is not on the WISeR list.",
)


def known_facts(
    foreseen: Foreseen,
    catalogue: Catalogue,
    asked: Submission | None = None,
    on: date | None = None,
) -> dict[str, str]:
    """What a text of the table may name in this case.

    `asked` and `on`, the day of the answer, tell what hangs on the order itself.
    """
    facts: dict[str, str | None] = {
        "detail": foreseen.detail.replace(_NO_CODE, _NOT_LISTED) or None,
        "missing": _missing(foreseen.missing, asked, catalogue),
        **_process(catalogue),
        **_service(foreseen.rules),
        **_place(foreseen.state, catalogue),
        **_order(asked, on, catalogue),
        **_case(foreseen.standing),
    }
    return {name: fact for name, fact in facts.items() if fact}


def first_too_early(day: date | None, on: date, catalogue: Catalogue) -> date | None:
    """The first day on which an affirmation reaches a day of service that today's does not.

    None where one of today does. Source: WISeR Operational Guide 6.0, 4.3.
    """
    reach = timedelta(days=catalogue.process.timeframes.validity_days - 1)
    return day - reach if day is not None and day > on + reach else None


def _process(catalogue: Catalogue) -> dict[str, str | None]:
    timeframes, model = catalogue.process.timeframes, catalogue.process.model
    return {
        "days": str(timeframes.standard_decision_days),
        "validity": str(timeframes.validity_days),
        "sites": listed([site.name.lower() for site in catalogue.process.sites]),
        "model_first": model.service_dates_from.isoformat(),
        "model_last": model.end.isoformat(),
        "model_states": listed(list(catalogue.states)),
    }


def _service(rules: ServiceRules | None) -> dict[str, str | None]:
    closed = rules.diagnosis if rules else None
    return {
        "service": rules.name if rules else "This service",
        "states": listed(rules.states) if rules else None,
        "table": closed.table if closed else None,
    }


def _order(
    asked: Submission | None, on: date | None, catalogue: Catalogue
) -> dict[str, str | None]:
    """What only the order tells: how urgent it is, whether it is far off, who bills."""
    if asked is None or on is None:
        return {}
    day = asked.items[0].service.date_of_service
    earliest = first_too_early(day, on, catalogue)
    urgent = catalogue.process.timeframes.expedited_decision_days
    return {
        "expedited": str(urgent) if asked.expedite_requested else None,
        "day": day.isoformat() if day else None,
        "earliest": earliest.isoformat() if earliest else None,
        "biller": " or ".join(billers(asked, catalogue)),
    }


def _case(standing: Standing | None) -> dict[str, str | None]:
    if standing is None:
        return {}
    local = standing.decide_by.astimezone(EASTERN) if standing.decide_by else None
    return {
        "number": standing.utn,
        "reference": standing.reference,
        "deadline": f"{local:%Y-%m-%d %H:%M} Eastern time" if local else None,
        "first": standing.valid_from.isoformat() if standing.valid_from else None,
        "last": standing.valid_until.isoformat() if standing.valid_until else None,
    }


def _place(state: str | None, catalogue: Catalogue) -> dict[str, str | None]:
    """Who reviews and who pays in a state of the model."""
    if state is None or state not in catalogue.states:
        return {}
    entry = catalogue.states[state]
    participant, mac = catalogue.participants[entry.participant], catalogue.macs[entry.mac]
    return {
        "state": state,
        "participant": participant.name,
        "phone": participant.phone,
        "email": participant.email,
        "mac": f"{mac.name} ({entry.mac})",
        "mac_phone": mac.phone,
    }


def _missing(
    missing: Sequence[Missing], asked: Submission | None, catalogue: Catalogue
) -> str | None:
    told = list(_words_for(missing, asked, catalogue))
    return listed(told) or answer_words().texts["untold"]


def _words_for(
    missing: Sequence[Missing], asked: Submission | None, catalogue: Catalogue
) -> Iterator[str]:
    """Where a facility bills and nobody told the one, it is what is asked for."""
    words = answer_words()
    facility = asked is not None and facility_bills(asked.items[0].site, catalogue)
    unbilled = facility and len(billers(asked, catalogue)) != 1
    for each in missing:
        whose = each is Missing.PERFORMER and unbilled
        yield words.texts["facility"] if whose else words.missing[each].words


def listed(words: Sequence[str]) -> str | None:
    """`a`, `a and b`, `a, b and c`."""
    if len(words) < 2:
        return words[0] if words else None
    return f"{', '.join(words[:-1])} and {words[-1]}"
