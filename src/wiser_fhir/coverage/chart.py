"""Where in a chart a fact stands: value sets of codes, and how an answer is read there.

The population logic under `igs/wiser/cql` reads the chart by the same value sets, so that what
fills a form and what an overridden answer is held against are one thing.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from wiser_fhir.coverage.frozen import Frozen, OptionCode, Slug, Words
from wiser_fhir.coverage.requested import CPT, HCPCS, Code

CHART_SYSTEMS = {
    "CPT": CPT,
    "HCPCS": HCPCS,
    "ICD-10-CM": "http://hl7.org/fhir/sid/icd-10-cm",
    "ICD-10-PCS": "http://www.cms.gov/Medicare/Coding/ICD10",
    "LOINC": "http://loinc.org",
    "RxNorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "SNOMED CT": "http://snomed.info/sct",
}
ChartSystem = Literal["CPT", "HCPCS", "ICD-10-CM", "ICD-10-PCS", "LOINC", "RxNorm", "SNOMED CT"]
_ChartCodeText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+([.-][A-Za-z0-9]+)*$")]


class ChartCode(Frozen):
    """A code that chart resources carry. `text` is in our own words."""

    system: ChartSystem
    code: _ChartCodeText
    text: Words

    @property
    def coding(self) -> Code:
        """The code with its canonical system."""
        return Code(CHART_SYSTEMS[self.system], self.code)


class ChartCodes(Frozen):
    """A value set of chart codes, published as ValueSet `<service>-<name>`."""

    name: Slug
    title: Words
    codes: tuple[ChartCode, ...] = Field(min_length=1)
    source: tuple[Slug, ...] = Field(min_length=1)


class Age(Frozen):
    """The patient's age in whole years on the day the form is filled."""

    read: Literal["age"]


class LatestQuantity(Frozen):
    """The value of the latest final Observation. `unit` is its UCUM code; another is no answer."""

    read: Literal["latest-quantity"]
    codes: Slug
    unit: Words


class LatestDate(Frozen):
    """The day of the latest Procedure, Observation, report, document or encounter."""

    read: Literal["latest-date"]
    codes: Slug


class Recorded(Frozen):
    """Yes when anything with these codes is recorded. Nothing recorded is no answer, never a no."""

    read: Literal["recorded"]
    codes: Slug


class RecordedOptions(Frozen):
    """The options for which something is recorded: value sets by option code."""

    read: Literal["options"]
    codes: dict[OptionCode, Slug] = Field(min_length=1)


class Computed(Frozen):
    """Worked out of several records by the population logic; there is no one record to compare."""

    read: Literal["computed"]
    codes: tuple[Slug, ...] = Field(min_length=1)


ChartReading = Annotated[
    Age | LatestQuantity | LatestDate | Recorded | RecordedOptions | Computed,
    Field(discriminator="read"),
]


def code_lists(reading: ChartReading) -> Iterator[str]:
    """The names of the value sets a reading looks for."""
    match reading:
        case Age():
            return
        case RecordedOptions(codes=by_option):
            yield from by_option.values()
        case Computed(codes=names):
            yield from names
        case _:
            yield reading.codes
