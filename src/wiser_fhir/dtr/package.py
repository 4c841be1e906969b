"""The answer of `$questionnaire-package`: what is the same all day is kept as bytes.

A form of one version is the same for everybody and for ever, and the expansions of its value sets
are for a day, so each package is written once a day. Only the draft response is made for the call.

Source: DTR 2.2.0 and 2.0.1, OperationDefinition questionnaire-package, DTR-QPackageBundle,
dtr-qpackage-output-parameters; DTR 2.2.0 §oper-10, §oper-12, §oper-14, §oper-15, §oper-18.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

import orjson

from wiser_fhir import exact
from wiser_fhir.dtr.forms import Form
from wiser_fhir.dtr.items import DTR
from wiser_fhir.dtr.value_sets import expanded
from wiser_fhir.errors import Problem
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json
from wiser_fhir.web.outcome import operation_outcome

PACKAGE_BUNDLE = DTR + "DTR-QPackageBundle"
OUTPUT_PARAMETERS = DTR + "dtr-qpackage-output-parameters"
_PACKAGE: dict[Line, str] = {"2.2": "packagebundle", "2.0": "PackageBundle"}
_OUTCOME: dict[Line, str] = {"2.2": "outcome", "2.0": "operationOutcome"}


@dataclass(frozen=True)
class Packages:
    """Writes the packages of one line. `base` is where the line is served."""

    line: Line
    base: str
    _written: dict[tuple[date, Form], tuple[bytes, bytes]] = field(default_factory=dict, repr=False)

    def answer(
        self, packed: Sequence[tuple[Form, Json, UUID]], remarks: Sequence[Problem], on: date
    ) -> bytes:
        """The answer of a day, with a package for each form, its draft response and the draft's id.

        2.2 sends Parameters, whatever is in them (DTR 2.2.0 §oper-10). 2.0 demands a package in
        them: where there is none the outcome goes out by itself, a 200 all the same, since nothing
        is wrong where nothing has changed or is needed. One package with nothing to remark goes out
        bare in 2.0, as its operation allows: HL7's validator has no Bundle pass inside Parameters
        there, not the guide's own example either (it reads %resource in bdl-3 and bdl-4 as the
        Parameters).
        """
        if self.line == "2.0" and not packed:
            return orjson.dumps(operation_outcome(remarks))
        if self.line == "2.0" and len(packed) == 1 and not remarks:
            return self.bundle(*packed[0], on)
        parts = [self._parameter(*each, on) for each in packed]
        if remarks:
            outcome = {"name": _OUTCOME[self.line], "resource": operation_outcome(remarks)}
            parts.append(orjson.dumps(outcome))
        head = {"resourceType": "Parameters", "meta": {"profile": [OUTPUT_PARAMETERS]}}
        return _opened(head, "parameter") + b",".join(parts) + b"]}"

    def bundle(self, form: Form, response: Json, response_id: UUID, on: date) -> bytes:
        """One package. Source: DTR 2.2.0 §oper-12 (the Questionnaire first), §oper-18."""
        if (on, form) not in self._written:
            for past in [key for key in self._written if key[0] != on]:
                del self._written[past]
            self._written[on, form] = (self._begin(form), self._end(form, on))
        begin, end = self._written[on, form]
        draft = {"fullUrl": f"urn:uuid:{response_id}", "resource": response}
        return begin + exact.dumps(draft) + end

    def _parameter(self, form: Form, response: Json, response_id: UUID, on: date) -> bytes:
        bundle = self.bundle(form, response, response_id, on)
        return b'{"name":"%b","resource":%b}' % (_PACKAGE[self.line].encode(), bundle)

    def _begin(self, form: Form) -> bytes:
        head = {
            "resourceType": "Bundle",
            "meta": {"profile": [PACKAGE_BUNDLE]},
            "type": "collection",
        }
        return _opened(head, "entry") + b"".join(self._entries([form.questionnaire]))

    def _end(self, form: Form, on: date) -> bytes:
        """Source: DTR 2.2.0 §oper-12 (Libraries, recursively), §oper-14 (value sets), §oper-15 (as
        of the current date)."""
        value_sets = [expanded(each, form.rules, on) for each in form.value_sets]
        entries = b"".join(self._entries([*form.libraries, *value_sets]))
        return b"," * bool(entries) + entries.removesuffix(b",") + b"]}"

    def _entries(self, resources: Iterable[Json]) -> Iterator[bytes]:
        """Each with a comma behind."""
        for each in resources:
            full_url = f"{self.base}/{each['resourceType']}/{each['id']}"
            yield orjson.dumps({"fullUrl": full_url, "resource": each}) + b","


def _opened(head: Json, name: str) -> bytes:
    """An object with an array that is left open."""
    return orjson.dumps(head)[:-1] + b',"%b":[' % name.encode()
