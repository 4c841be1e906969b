"""Days, deadlines and formats: what the program says of a case in numbers."""

import re
from datetime import UTC, date, datetime, timedelta

from wiser_fhir.clock import EASTERN, business_date
from wiser_fhir.coverage.process import Process, SiteOfService, Timeframes, Utn
from wiser_fhir.priorauth.models import Site, SiteKind

# Letters of a Medicare number: all but those that look like a digit.
_LETTER = "AC-HJKMNP-RT-Y"
_MBI = re.compile(
    f"[1-9][{_LETTER}][0-9{_LETTER}][0-9][{_LETTER}][0-9{_LETTER}][0-9][{_LETTER}]{{2}}[0-9]{{2}}"
)
_NPI = re.compile("[0-9]{10}")
_BILL_TYPE = re.compile("0?([1-9][0-9])[0-9A-Z]?")
_NPI_PREFIX = "80840"


def last_valid_day(decided_on: date, valid_days: int) -> date:
    """Last day of service an affirmation covers; `decided_on` is day 1.

    Source: WISeR Operational Guide 6.0, 4.3.
    """
    return decided_on + timedelta(days=valid_days - 1)


def decide_by(received_at: datetime, expedited: bool, timeframes: Timeframes) -> datetime:
    """The instant by which a request is to be decided, in UTC.

    The guide counts calendar days and does not say whether they run to the hour. We take the same
    Eastern wall time so many days later, whatever the clocks do in between. A time that they skip
    in spring is read as if they had not been moved yet; of one that comes twice in autumn it is the
    first.

    Raises ValueError for a naive datetime. Source: WISeR Operational Guide 6.0, 4.2.1 and 4.2.2.
    """
    if received_at.tzinfo is None:
        raise ValueError("a deadline needs an aware instant")
    days = timeframes.expedited_decision_days if expedited else timeframes.standard_decision_days
    local = received_at.astimezone(EASTERN) + timedelta(days=days)
    return local.replace(fold=0).astimezone(UTC)


def partial_decision_allowed(received_at: datetime, process: Process) -> bool:
    """Whether codes of one request may be decided differently.

    Source: WISeR Operational Guide 6.0, 4.1.3.
    """
    return business_date(received_at) >= process.partial_decisions_from


def is_mbi(value: str) -> bool:
    """Whether this can be a Medicare number: 11 characters, digits and letters in their places.

    Source: CMS, Understanding the MBI format.
    """
    return _MBI.fullmatch(value) is not None


def is_npi(value: str) -> bool:
    """Whether this can be a provider number: ten digits, the last one right.

    Source: 45 CFR 162.406, ISO/IEC 7812 check digit over the number with 80840 before it.
    """
    if _NPI.fullmatch(value) is None:
        return False
    digits = [int(digit) for digit in reversed(_NPI_PREFIX + value)]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def may_issue(number: str, utn: Utn) -> bool:
    """Whether a unique tracking number of this shape may leave us."""
    return re.fullmatch(utn.issue_pattern, number) is not None


def can_be_utn(number: str, utn: Utn) -> bool:
    """Whether a number sent to us can be a unique tracking number.

    Source: WISeR Operational Guide 6.0, 7.1.
    """
    return re.fullmatch(utn.accept_pattern, number) is not None


def facility_type(bill_type: str) -> str | None:
    """The two digits of a type of bill that tell the facility. None when it is no type of bill.

    Takes `13`, `13X`, `131` and each with the leading zero.
    """
    found = _BILL_TYPE.fullmatch(bill_type)
    return found.group(1) if found else None


def site_of_service(site: Site | None, process: Process) -> SiteOfService | None:
    """The setting of the model that a site is. None for another, or where the site is not told."""
    if site is None or site.kind is SiteKind.OTHER:
        return None
    if site.kind is SiteKind.PLACE_OF_SERVICE:
        return next((s for s in process.sites if site.code in s.place_of_service), None)
    facility = facility_type(site.code)
    return next((s for s in process.sites if facility in s.bill_types), None)
