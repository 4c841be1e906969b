"""What holds of every day, deadline and number."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from wiser_fhir.clock import EASTERN, business_date
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.priorauth.rules import decide_by, is_mbi, is_npi, last_valid_day

CALM = settings(deadline=None, max_examples=100)
TIMEFRAMES = Catalogue.load().process.timeframes
DAYS = st.dates(date(2026, 1, 1), date(2032, 12, 31))
INSTANTS = st.datetimes(
    datetime(2026, 1, 1),  # noqa: DTZ001
    datetime(2032, 12, 31),  # noqa: DTZ001
    timezones=st.just(UTC),
)


@CALM
@given(DAYS, st.integers(1, 400))
def test_a_validity_has_as_many_days_as_it_says(decided_on: date, days: int) -> None:
    covered = {decided_on + timedelta(days=n) for n in range(days)}
    assert max(covered) == last_valid_day(decided_on, days)
    assert min(covered) == decided_on


@CALM
@given(INSTANTS, st.booleans())
def test_a_deadline_is_on_the_eastern_day_that_many_days_later(
    received: datetime, expedited: bool
) -> None:
    days = 2 if expedited else 3
    due = decide_by(received, expedited, TIMEFRAMES)
    assert business_date(due) == business_date(received) + timedelta(days=days)
    assert abs(due - received - timedelta(days=days)) <= timedelta(hours=1)


@CALM
@given(INSTANTS)
def test_a_deadline_has_the_wall_time_of_receipt_unless_the_clock_skips_it(
    received: datetime,
) -> None:
    due = decide_by(received, False, TIMEFRAMES).astimezone(EASTERN)
    skipped = due.month == 3 and due.hour == 3 and received.astimezone(EASTERN).hour == 2
    assert skipped or due.time() == received.astimezone(EASTERN).time()


@CALM
@given(INSTANTS)
def test_an_expedited_request_is_due_before_a_standard_one(received: datetime) -> None:
    assert decide_by(received, True, TIMEFRAMES) < decide_by(received, False, TIMEFRAMES)


def npis() -> st.SearchStrategy[str]:
    """Provider numbers with the right last digit, found by trying all ten."""
    nine = st.text("0123456789", min_size=9, max_size=9)
    return nine.map(lambda n: next(n + d for d in "0123456789" if is_npi(n + d)))


@CALM
@given(npis(), st.integers(0, 9), st.integers(1, 9))
def test_one_wrong_digit_breaks_a_provider_number(npi: str, place: int, shift: int) -> None:
    wrong = str((int(npi[place]) + shift) % 10)
    assert not is_npi(npi[:place] + wrong + npi[place + 1 :])


@CALM
@given(st.text("0123456789", min_size=9, max_size=9))
def test_each_nine_digits_have_one_check_digit(nine: str) -> None:
    assert sum(is_npi(nine + digit) for digit in "0123456789") == 1


LETTERS = "ACDEFGHJKMNPQRTUVWXY"
# CMS's format by place: C a digit but 0, A a letter, N a digit, X a letter or a digit.
CLASSES = {"C": "123456789", "A": LETTERS, "N": "0123456789", "X": LETTERS + "0123456789"}
FORMAT = "CAXNAXNAANN"


@CALM
@given(st.tuples(*(st.sampled_from(CLASSES[place]) for place in FORMAT)))
def test_medicare_numbers_by_their_format(characters: tuple[str, ...]) -> None:
    assert is_mbi("".join(characters))


@CALM
@given(st.data())
def test_a_character_out_of_place_breaks_a_medicare_number(data: st.DataObject) -> None:
    number = [data.draw(st.sampled_from(CLASSES[place])) for place in FORMAT]
    place = data.draw(st.integers(0, len(FORMAT) - 1))
    number[place] = data.draw(st.characters().filter(lambda c: c not in CLASSES[FORMAT[place]]))
    assert not is_mbi("".join(number))
