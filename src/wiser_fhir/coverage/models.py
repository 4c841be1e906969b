"""The rules of one service, as one dated file says them."""

from collections.abc import Iterator
from datetime import date
from functools import cached_property
from typing import Literal, Self

from pydantic import Field, model_validator

from wiser_fhir.coverage.chart import CHART_SYSTEMS, ChartCodes, code_lists
from wiser_fhir.coverage.decision import (
    AllOf,
    AnyOf,
    Equals,
    IfEquals,
    IfTrue,
    nodes,
)
from wiser_fhir.coverage.frozen import (
    Frozen,
    OptionCode,
    ProcedureCode,
    Slug,
    StateCode,
    Words,
    repeated,
)
from wiser_fhir.coverage.questions import Question, WithinMonthsOf
from wiser_fhir.coverage.requested import CPT, HCPCS, Code

ServiceStatus = Literal["active", "delayed"]
CodeRole = Literal["primary", "add-on", "recognition"]
CLINICAL_SYSTEMS = {
    "SNOMED CT": "http://snomed.info/sct",
    "LOINC": "http://loinc.org",
    "RxNorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
}

_ICD_10 = (CHART_SYSTEMS["ICD-10-CM"], CHART_SYSTEMS["ICD-10-PCS"])


class Policy(Frozen):
    """A coverage policy. `macs` are the jurisdictions an LCD holds in; an NCD holds everywhere."""

    type: Literal["NCD", "LCD"]
    id: Words
    macs: tuple[str, ...] = ()
    article: Words | None = None

    @model_validator(mode="after")
    def _placed(self) -> Self:
        if (self.type == "LCD") != bool(self.macs):
            raise ValueError(f"{self.id}: an LCD names its MACs, an NCD none")
        return self


class ServiceCode(Frozen):
    """A procedure code of a service. `text` is in our own words: CPT's wording is licensed.

    `effective_from` and `effective_until`, both included, are held against the date of service.
    A recognition code only tells a delayed service by.
    """

    code: ProcedureCode
    system: Literal["CPT", "HCPCS"]
    role: CodeRole
    text: Words
    add_on_to: tuple[ProcedureCode, ...] = ()
    effective_from: date | None = None
    effective_until: date | None = None
    condition: Words | None = None
    marker_code: ProcedureCode | None = None

    @property
    def coding(self) -> Code:
        """The code with its canonical system."""
        return Code(CPT if self.system == "CPT" else HCPCS, self.code)

    def in_effect(self, day: date | None) -> bool:
        """Whether the code belongs to the service on a date of service. An unknown one says yes."""
        if day is None:
            return True
        begins, ends = self.effective_from or date.min, self.effective_until or date.max
        return begins <= day <= ends

    @model_validator(mode="after")
    def _placed(self) -> Self:
        if (self.role == "add-on") != bool(self.add_on_to):
            raise ValueError(f"{self.code}: an add-on names its primary codes, no other code does")
        return self


class ClinicalCode(Frozen):
    """A code of a clinical terminology that orders carry, and how it is likely to be billed.

    `likely` are procedure codes of the same file; several where the clinical code leaves open which
    it will be. `text` is in our own words. `source` says where the code and its meaning were read.
    """

    system: Literal["SNOMED CT", "LOINC", "RxNorm"]
    code: OptionCode
    text: Words
    likely: tuple[ProcedureCode, ...] = Field(min_length=1)
    source: tuple[Slug, ...] = Field(min_length=1)

    @property
    def coding(self) -> Code:
        """The code with its canonical system."""
        return Code(CLINICAL_SYSTEMS[self.system], self.code)


class NotIncluded(Frozen):
    """Codes close to the service that are not WISeR's, and why."""

    codes: tuple[ProcedureCode, ...] = Field(min_length=1)
    reason: Words
    with_diagnosis: Words | None = None


class DiagnosisGroup(Frozen):
    """Diagnoses of one indication. The grouping is ours."""

    name: Slug
    codes: tuple[str, ...] = Field(min_length=1)


class DiagnosisList(Frozen):
    """A closed list: with no diagnosis of it a request is none for this service.

    Source: WISeR Operational Guide 6.0, Appendix B.
    """

    table: Words
    groups: tuple[DiagnosisGroup, ...] = Field(min_length=1)
    note: Words | None = None

    @cached_property
    def codes(self) -> frozenset[str]:
        """Every code of the list, written plainly."""
        return frozenset(plain_diagnosis(code) for group in self.groups for code in group.codes)

    def names_any_of(self, diagnoses: tuple[str, ...]) -> bool:
        """Whether a diagnosis of the request stands on the list."""
        return any(plain_diagnosis(code) in self.codes for code in diagnoses)


def plain_diagnosis(code: str) -> str:
    """An ICD-10 code without dot and in capitals, for comparing."""
    return code.replace(".", "").strip().upper()


def plain_code(code: Code) -> Code:
    """A code for comparing: a diagnosis has no dot, and CPT is a part of HCPCS."""
    if code.system in _ICD_10:
        return Code(code.system, plain_diagnosis(code.code))
    return Code(HCPCS, code.code) if code.system == CPT else code


class ServiceRules(Frozen):
    """What WISeR asks of one service, from `first_day` on. `slug` and `first_day` are its path.

    `requests_from` opens the file to requests that come before its first day, for services on or
    after it. `previous_forms_until` is the last day on which a form of the version before counts.
    """

    slug: Slug
    first_day: date
    name: Words
    status: ServiceStatus
    category: Slug
    guide_section: Words
    states: tuple[StateCode, ...] = Field(min_length=1)
    policies: tuple[Policy, ...] = Field(min_length=1)
    sources: tuple[Slug, ...] = Field(min_length=1)
    appendix_a: Words | None = None
    requests_from: date | None = None
    previous_forms_until: date | None = None
    reviewed_by: Words | None = None
    reviewed_on: date | None = None
    codes: tuple[ServiceCode, ...] = ()
    clinical_codes: tuple[ClinicalCode, ...] = ()
    not_included: tuple[NotIncluded, ...] = ()
    associated_codes: tuple[ProcedureCode, ...] = ()
    diagnosis: DiagnosisList | None = None
    documentation: tuple[Words, ...] = ()
    notes: tuple[Words, ...] = ()
    chart_codes: tuple[ChartCodes, ...] = ()
    questions: tuple[Question, ...] = ()
    decision: AllOf | AnyOf | None = None

    @property
    def version(self) -> str:
        """The version of the form built from this file."""
        return self.first_day.isoformat()

    @property
    def opens_on(self) -> date:
        """First business date of receipt this file is in force on."""
        return self.requests_from or self.first_day

    @property
    def is_active(self) -> bool:
        """Whether requests are taken."""
        return self.status == "active"

    @property
    def is_reviewed(self) -> bool:
        """Whether a clinician has put a name to this file."""
        return self.reviewed_by is not None

    @property
    def required_questions(self) -> tuple[Question, ...]:
        """Questions that want an answer whenever they are asked, in the order of the file."""
        return tuple(question for question in self.questions if question.required)

    @cached_property
    def by_id(self) -> dict[str, Question]:
        """The questions by id, in the order of the file."""
        return {question.id: question for question in self.questions}

    @cached_property
    def chart_codes_by_name(self) -> dict[str, ChartCodes]:
        """The value sets of chart codes."""
        return {entry.name: entry for entry in self.chart_codes}

    @cached_property
    def chart_lists(self) -> dict[Code, tuple[str, ...]]:
        """The names of the value sets with a chart code, by that code as `plain_code` has it."""
        found: dict[Code, tuple[str, ...]] = {}
        for entry in self.chart_codes:
            for code in {plain_code(code.coding) for code in entry.codes}:
                found[code] = (*found.get(code, ()), entry.name)
        return found

    @cached_property
    def by_code(self) -> dict[str, ServiceCode]:
        """The procedure codes."""
        return {code.code: code for code in self.codes}

    @cached_property
    def deciding(self) -> frozenset[str]:
        """Ids of every question the decision tree names."""
        return (
            frozenset(name for name, _ in _named(self.decision)) if self.decision else frozenset()
        )

    @cached_property
    def leading_out(self) -> tuple[Question, ...]:
        """Questions with an answer that makes a request none of WISeR's."""
        return tuple(
            question
            for question in self.questions
            if question.if_unmet == "out_of_scope"
            or any(option.outcome == "out_of_scope" for option in question.options)
        )

    def policies_in(self, mac: str) -> tuple[Policy, ...]:
        """The policies that hold in a MAC's jurisdiction."""
        return tuple(policy for policy in self.policies if not policy.macs or mac in policy.macs)

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        faults = [*self._date_faults(), *self._code_faults(), *self._question_faults()]
        faults += [*self._chart_faults(), *self._status_faults(), *self._cycles()]
        faults += self._decision_faults()
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _date_faults(self) -> Iterator[str]:
        if self.opens_on > self.first_day:
            yield "requests_from lies after the first day"
        if (self.reviewed_by is None) != (self.reviewed_on is None):
            yield "reviewed_by and reviewed_on go together"

    def _code_faults(self) -> Iterator[str]:
        for code in repeated(tuple(entry.code for entry in self.codes)):
            yield f"codes: {code} stands twice"
        primaries = {entry.code for entry in self.codes if entry.role == "primary"}
        for entry in self.codes:
            for primary in sorted(set(entry.add_on_to) - primaries):
                yield f"codes: {entry.code} is an add-on to {primary}, no primary code of this file"
        clinical = tuple(f"{entry.system} {entry.code}" for entry in self.clinical_codes)
        for code in repeated(clinical):
            yield f"clinical_codes: {code} stands twice"
        for each in self.clinical_codes:
            for likely in sorted(set(each.likely) - self.by_code.keys()):
                yield f"clinical_codes: {each.code} is read as {likely}, no code of this file"

    def _question_faults(self) -> Iterator[str]:
        for name in repeated(tuple(question.id for question in self.questions)):
            yield f"questions: {name} stands twice"
        for question in self.questions:
            place, when = f"questions: {question.id}", question.enable_when
            if when is not None:
                yield from self._value_faults(f"{place}: enable_when", when.question, when.value)
            if isinstance(question.rule, WithinMonthsOf):
                other = self.by_id.get(question.rule.question)
                if other is None or other.type != "date":
                    yield f"{place}: rule: {question.rule.question} is no date question"
            several = question.type == "multi_choice" and question.required
            if self.is_active and several and not question.exclusive:
                yield f"{place}: no option says that none of them applies"

    def _chart_faults(self) -> Iterator[str]:
        """An active service says of each fact where it stands, or why it cannot be read."""
        lists = tuple(entry.name for entry in self.chart_codes)
        for name in repeated(lists):
            yield f"chart_codes: {name} stands twice"
        named: set[str] = set()
        for question in self.questions:
            if question.chart is not None:
                named.update(code_lists(question.chart))
            elif self.is_active and question.kind == "fact" and question.unfilled is None:
                yield f"questions: {question.id}: a fact has chart, or unfilled says why not"
        for name in sorted(named - set(lists)):
            yield f"questions: no such chart_codes: {name}"
        for name in sorted(set(lists) - named):
            yield f"chart_codes: no question reads {name}"

    def _value_faults(self, place: str, question: str, value: bool | str | None) -> Iterator[str]:
        """What stands against comparing a question's answer with a value. None: with anything."""
        other = self.by_id.get(question)
        if other is None:
            yield f"{place} names the unknown question {question}"
        elif value is not None and not other.allows(value):
            yield f"{place}: {value!r} is no possible answer of {question}"

    def _cycles(self) -> Iterator[str]:
        for question in self.questions:
            seen = [question.id]
            current: Question | None = question
            while current is not None and current.enable_when is not None:
                if current.enable_when.question in seen:
                    yield f"questions: {question.id}: enable_when goes round in a circle"
                    break
                seen.append(current.enable_when.question)
                current = self.by_id.get(current.enable_when.question)

    def _status_faults(self) -> Iterator[str]:
        roles = {code.role for code in self.codes}
        if not self.is_active:
            if self.decision is not None:
                yield "decision: a delayed service decides nothing"
            if roles - {"recognition"}:
                yield "codes: a delayed service has recognition codes only"
            return
        if "primary" not in roles:
            yield "codes: an active service has at least one primary code"
        if "recognition" in roles:
            yield "codes: recognition codes are for delayed services"
        if self.decision is None:
            yield "decision: an active service needs one"

    def _decision_faults(self) -> Iterator[str]:
        for question, value in _named(self.decision) if self.decision else ():
            yield from self._value_faults("decision", question, value)


def _named(tree: AllOf | AnyOf) -> Iterator[tuple[str, bool | str | None]]:
    """The questions a tree names, each with the value it must be able to take, if any."""
    for node in nodes(tree):
        match node:
            case str():
                yield node, None
            case IfTrue(question=question):
                yield question, True
            case IfEquals(if_equals=wanted) | Equals(equals=wanted):
                yield wanted.question, wanted.value
