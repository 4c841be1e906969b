"""`ValueSet/$expand`: the active codes of a value set today, searched by words.

Source: DTR 2.2.0, DTR-ValueSet-expand, §oper-4, §oper-5; FHIR R4, ValueSet $expand.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wiser_fhir.clock import business_date
from wiser_fhir.dtr.operations import Parameter, named
from wiser_fhir.errors import InvalidResource, Problem
from wiser_fhir.fhir.elements import Json

_LONGEST_URL = 2_000
_LONGEST_FILTER = 200
_MOST = 2**31 - 1
# They would change which codes are returned, and a client must not take the answer for theirs.
_REFUSED = {
    "valueSet": "A value set is expanded by its url; one that is sent along is not read.",
    "context": "A value set is named by its url, not by where it is used.",
    "date": "A value set is expanded as of today.",
    "exclude-system": "No code system is left out.",
    "system-version": "The version of a code system cannot be chosen.",
    "check-system-version": "The version of a code system cannot be chosen.",
    "force-system-version": "The version of a code system cannot be chosen.",
}
_TEXT_KEYS = {
    "url": ("valueUri", "valueUrl", "valueCanonical", "valueString"),
    "valueSetVersion": ("valueString",),
    "filter": ("valueString",),
}
_DEFINING = ("compose", "expansion", "text")


@dataclass(frozen=True, slots=True)
class ExpandRequest:
    """Which value set, and which of its codes: those that have all `words`, from `offset` on."""

    url: str | None
    version: str | None
    filter: str | None
    count: int | None
    offset: int | None

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the filter, to be compared without case."""
        return tuple((self.filter or "").casefold().split())


def expand_request(given: Sequence[Parameter], *, url_needed: bool) -> ExpandRequest:
    """What was asked. What does not change the codes of the answer is passed over.

    Raises InvalidResource with every problem.
    """
    problems = [
        Problem("error", "not-supported", _REFUSED[each.name], each.place)
        for each in given
        if each.name in _REFUSED
    ]
    url, version = _canonical(given, problems)
    if url_needed and url is None and not named(given, "url"):
        problems.append(Problem("error", "required", "The url of a value set is needed.", "url"))
    asked = ExpandRequest(
        url=url,
        version=version,
        filter=_text(given, "filter", _LONGEST_FILTER, problems),
        count=_number(given, "count", problems),
        offset=_number(given, "offset", problems),
    )
    if problems:
        raise InvalidResource("The value set cannot be expanded so.", problems)
    return asked


def _canonical(
    given: Sequence[Parameter], problems: list[Problem]
) -> tuple[str | None, str | None]:
    """Url and version, which may be told in one or apart, if they agree."""
    told = _text(given, "url", _LONGEST_URL, problems)
    version = _text(given, "valueSetVersion", _LONGEST_URL, problems)
    if told is None:
        return None, version
    url, _, inner = told.partition("|")
    if inner and version and inner != version:
        text = "The url names another version than valueSetVersion."
        problems.append(Problem("error", "value", text, named(given, "valueSetVersion")[0].place))
    return url, version or inner or None


def _text(
    given: Sequence[Parameter], name: str, longest: int, problems: list[Problem]
) -> str | None:
    found = _only(given, name, problems)
    if found is None:
        return None
    value: Any = found.value
    if name == "filter" and value == "":  # nothing typed yet
        return None
    if not (found.is_text_of_a_query or found.key in _TEXT_KEYS[name]) or not _is_text(value):
        text = f"{name} is a text, without control characters."
        problems.append(Problem("error", "value", text, found.place))
        return None
    if len(value) > longest:
        text = f"{name} has at most {longest} characters."
        problems.append(Problem("error", "too-long", text, found.place))
        return None
    return str(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _number(given: Sequence[Parameter], name: str, problems: list[Problem]) -> int | None:
    found = _only(given, name, problems)
    if found is None:
        return None
    value: Any = found.value
    if found.is_text_of_a_query and value.isascii() and value.isdecimal() and len(value) < 11:
        value = int(value)
    elif found.key != "valueInteger":
        value = None
    if type(value) is not int or not 0 <= value <= _MOST:
        text = f"{name} is a whole number, 0 or more."
        problems.append(Problem("error", "value", text, found.place))
        return None
    return value


def _only(given: Sequence[Parameter], name: str, problems: list[Problem]) -> Parameter | None:
    found = named(given, name)
    if len(found) > 1:
        problems.append(Problem("error", "structure", f"{name} is given once.", found[1].place))
    return found[0] if len(found) == 1 else None


def expanded(
    value_set: Json, asked: ExpandRequest, at: datetime, ended: Collection[str] = ()
) -> Json:
    """A value set with its active codes in place of its definition.

    `ended` are procedure codes that are not in effect. Every word of the filter has to stand in a
    code or in what we call it, in any case. Source: DTR 2.2.0 §oper-5.
    """
    found = [each for each in _concepts(value_set) if each["code"] not in ended]
    found = [each for each in found if _has(each, asked.words)]
    start = asked.offset or 0
    page = found[start:] if asked.count is None else found[start : start + asked.count]
    expansion: Json = {"timestamp": at.isoformat(timespec="seconds"), "total": len(found)}
    if asked.count is not None or asked.offset is not None:
        expansion["offset"] = start
    expansion["parameter"] = list(_told(value_set, asked, at))
    if page:
        expansion["contains"] = page
    kept = {key: each for key, each in value_set.items() if key not in _DEFINING}
    return {**kept, "expansion": expansion}


def _concepts(value_set: Json) -> Iterator[Json]:
    for include in value_set["compose"]["include"]:
        about = {key: include[key] for key in ("system", "version") if key in include}
        yield from ({**about, **concept} for concept in include["concept"])


def _has(concept: Json, words: tuple[str, ...]) -> bool:
    texts = [concept["code"], *(each["value"] for each in concept.get("designation", ()))]
    return all(any(word in text.casefold() for text in texts) for word in words)


def _told(value_set: Json, asked: ExpandRequest, at: datetime) -> Iterator[Json]:
    """What decided the codes, for whoever keeps the answer."""
    canonical = f"{value_set['url']}|{value_set['version']}"
    yield {"name": "used-valueset", "valueUri": canonical}
    yield {"name": "date", "valueDateTime": business_date(at).isoformat()}
    yield {"name": "activeOnly", "valueBoolean": True}
    if asked.filter is not None:
        yield {"name": "filter", "valueString": asked.filter}
    if asked.count is not None:
        yield {"name": "count", "valueInteger": asked.count}
    if asked.offset is not None:
        yield {"name": "offset", "valueInteger": asked.offset}
