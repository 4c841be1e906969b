"""The public conformance suite's tests of a DTR payer, said again for tests of our own.

Suite `dtr_payer_server`: a function a test, under the test's own id, written from what the suite
says it checks. It looks at what a tester puts in and at what came back, and at nothing of ours.
What a resource has to be is asked of the `errors` that a caller hands in, by the profile's url.

The released suite forgets the adaptive package once `..._adaptive_form_expressions_test` has
passed, so that the two tests after it fail whatever was sent. Here it does not: each test is judged
by what it says it checks.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
Outcome = Literal["pass", "fail", "skip"]
ResourceErrors = Callable[[Json, str], Iterable[str]]
"""What is wrong with a resource by a profile."""

DTR = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/"
CORE = "http://hl7.org/fhir/StructureDefinition/"
INPUT = DTR + "dtr-qpackage-input-parameters"
OUTPUT = DTR + "dtr-qpackage-output-parameters"
PACKAGE = DTR + "DTR-QPackageBundle"
SEARCH_FORM = DTR + "dtr-questionnaire-adapt-search"
RESPONSE_IN = SDC + "sdc-questionnaireresponse-adapt"
PARAMETERS_IN = SDC + "parameters-questionnaire-next-question-in"
RESPONSE_OUT = SDC + "sdc-questionnaireresponse"

CQF_LIBRARY = CORE + "cqf-library"
LAUNCH_CONTEXT = SDC + "sdc-questionnaire-launchContext"
POPULATING = (CORE + "variable", SDC + "sdc-questionnaire-itemPopulationContext")
FILLING = tuple(
    f"{SDC}sdc-questionnaire-{name}Expression" for name in ("initial", "candidate", "context")
)
NO_EXPRESSION = "no item has an expression"

_CONTENT_TYPES = ("text/cql", "application/elm+json")


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: the status, and the body as JSON."""

    status: int
    body: Any


@dataclass(frozen=True, slots=True)
class Result:
    """How one test of the suite ends."""

    test: str
    outcome: Outcome
    faults: tuple[str, ...] = ()


@dataclass(slots=True)
class Known:
    """What a group's tests take from one to the next: names and urls of the libraries seen."""

    names: set[str] = field(default_factory=set)
    urls: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class StaticGroup:
    """The package of a form that is shown whole."""

    request: Json
    reply: Reply
    errors: ResourceErrors
    known: Known = field(default_factory=Known)

    def dtr_v201_payer_static_request_test(self) -> Result:
        """A request was put in by hand."""
        return _judged("dtr_v201_payer_static_request_test", [])

    def dtr_v201_payer_static_form_request_validation_test(self) -> Result:
        """It is valid."""
        found = self.errors(self.request, INPUT)
        return _judged("dtr_v201_payer_static_form_request_validation_test", found)

    def dtr_v201_payer_static_form_response_test(self) -> Result:
        """The answer has valid packages."""
        found = package_faults(self.reply, self.errors)
        return _judged("dtr_v201_payer_static_form_response_test", found)

    def dtr_v201_payer_static_form_libraries_test(self) -> Result:
        """The packages have libraries, each as CQL and ELM, with names of their own."""
        found = library_faults(packages(self.reply.body), self.known)
        return _judged("dtr_v201_payer_static_form_libraries_test", found)

    def dtr_v201_payer_static_form_extensions_test(self) -> Result:
        """Their forms say what fills them, and the libraries they name are there."""
        found = extension_faults(forms_in(packages(self.reply.body)), self.known)
        return _judged("dtr_v201_payer_static_form_extensions_test", found)

    def dtr_v201_payer_static_form_expressions_test(self) -> Result:
        """Items of theirs are filled by CQL."""
        found = expression_faults(forms_in(packages(self.reply.body)))
        return _judged("dtr_v201_payer_static_form_expressions_test", found)


@dataclass(frozen=True, slots=True)
class AdaptiveGroup:
    """The package of an adaptive form, and the answers to a list of next questions."""

    request: Json
    reply: Reply
    next_requests: Sequence[Json]
    next_replies: Sequence[Reply]
    errors: ResourceErrors
    known: Known = field(default_factory=Known)

    def payer_server_questionnaire_request(self) -> Result:
        """Requests of both kinds were put in by hand."""
        return _judged("payer_server_questionnaire_request", [])

    def payer_server_adaptive_questionnaire_request_validation(self) -> Result:
        """The request of the package is valid."""
        found = self.errors(self.request, INPUT)
        return _judged("payer_server_adaptive_questionnaire_request_validation", found)

    def payer_server_adaptive_response_validation_test(self) -> Result:
        """The answer has valid packages."""
        found = package_faults(self.reply, self.errors)
        return _judged("payer_server_adaptive_response_validation_test", found)

    def dtr_v201_payer_adaptive_form_libraries_test(self) -> Result:
        """The packages have libraries, each as CQL and ELM, with names of their own."""
        found = library_faults(packages(self.reply.body), self.known)
        return _judged("dtr_v201_payer_adaptive_form_libraries_test", found)

    def dtr_v201_payer_adaptive_form_extensions_test(self) -> Result:
        """Their forms say what fills them, and the libraries they name are there."""
        found = extension_faults(forms_in(packages(self.reply.body)), self.known)
        return _judged("dtr_v201_payer_adaptive_form_extensions_test", found)

    def dtr_v201_payer_adaptive_form_expressions_test(self) -> Result:
        """Items of theirs are filled by CQL."""
        found = expression_faults(forms_in(packages(self.reply.body)))
        return _judged("dtr_v201_payer_adaptive_form_expressions_test", found)

    def payer_server_adaptive_response_bundles_validation_test(self) -> Result:
        """Each package is a valid one by itself."""
        found = [f for each in packages(self.reply.body) for f in self.errors(each, PACKAGE)]
        found += [] if packages(self.reply.body) else ["no package"]
        return _judged("payer_server_adaptive_response_bundles_validation_test", found)

    def payer_server_adaptive_response_search_validation_test(self) -> Result:
        """Each form in them is a valid adaptive one."""
        forms = forms_in(packages(self.reply.body))
        found = [fault for form in forms for fault in self.errors(form, SEARCH_FORM)]
        found += [] if forms else ["no form"]
        return _judged("payer_server_adaptive_response_search_validation_test", found)

    def payer_server_next_request_validation(self) -> Result:
        """The list of next questions is valid: all of it responses, or all of it Parameters."""
        kinds = {_kind(each) for each in self.next_requests}
        wanted = "QuestionnaireResponse" if "QuestionnaireResponse" in kinds else "Parameters"
        profile = RESPONSE_IN if wanted == "QuestionnaireResponse" else PARAMETERS_IN
        found = [f"a {kind} among {wanted}" for kind in kinds - {wanted}]
        found += [f for each in self.next_requests for f in self.errors(each, profile)]
        return _judged("payer_server_next_request_validation", found)

    def payer_server_next_response_validation_test(self) -> Result:
        """Every one is answered with a valid response, which stands by itself."""
        found = [fault for reply in self.next_replies for fault in self._response_faults(reply)]
        return _judged("payer_server_next_response_validation_test", found)

    def dtr_v201_payer_adaptive_next_question_extensions_test(self) -> Result:
        """The forms inside say what fills them, by libraries of the package."""
        found = extension_faults(self._forms_inside(), self.known)
        return _judged("dtr_v201_payer_adaptive_next_question_extensions_test", found)

    def dtr_v201_payer_adaptive_next_question_expressions_test(self) -> Result:
        """Items of the forms inside are filled by CQL."""
        found = expression_faults(self._forms_inside())
        return _judged("dtr_v201_payer_adaptive_next_question_expressions_test", found)

    def payer_server_adaptive_completion_test(self) -> Result:
        """One answer says that the form is completed."""
        statuses = [reply.body.get("status") for reply in self.next_replies]
        found = [] if "completed" in statuses else ["no answer is completed"]
        return _judged("payer_server_adaptive_completion_test", found)

    def _response_faults(self, reply: Reply) -> Iterator[str]:
        if reply.status not in (200, 202):
            yield f"status {reply.status}"
        if _kind(reply.body) != "QuestionnaireResponse":
            yield f"the answer is a {_kind(reply.body)}"
        else:
            yield from self.errors(reply.body, RESPONSE_OUT)

    def _forms_inside(self) -> list[Json]:
        inside = (each for reply in self.next_replies for each in reply.body.get("contained", ()))
        return [each for each in inside if _kind(each) == "Questionnaire"]


_STATIC = (
    StaticGroup.dtr_v201_payer_static_request_test,
    StaticGroup.dtr_v201_payer_static_form_request_validation_test,
    StaticGroup.dtr_v201_payer_static_form_response_test,
    StaticGroup.dtr_v201_payer_static_form_libraries_test,
    StaticGroup.dtr_v201_payer_static_form_extensions_test,
    StaticGroup.dtr_v201_payer_static_form_expressions_test,
)
_ADAPTIVE = (
    AdaptiveGroup.payer_server_questionnaire_request,
    AdaptiveGroup.payer_server_adaptive_questionnaire_request_validation,
    AdaptiveGroup.payer_server_adaptive_response_validation_test,
    AdaptiveGroup.dtr_v201_payer_adaptive_form_libraries_test,
    AdaptiveGroup.dtr_v201_payer_adaptive_form_extensions_test,
    AdaptiveGroup.dtr_v201_payer_adaptive_form_expressions_test,
    AdaptiveGroup.payer_server_adaptive_response_bundles_validation_test,
    AdaptiveGroup.payer_server_adaptive_response_search_validation_test,
    AdaptiveGroup.payer_server_next_request_validation,
    AdaptiveGroup.payer_server_next_response_validation_test,
    AdaptiveGroup.dtr_v201_payer_adaptive_next_question_extensions_test,
    AdaptiveGroup.dtr_v201_payer_adaptive_next_question_expressions_test,
    AdaptiveGroup.payer_server_adaptive_completion_test,
)
TESTS = {
    "payer_server_static_package": tuple(test.__name__ for test in _STATIC),
    "payer_server_adaptive_questionnaire": tuple(test.__name__ for test in _ADAPTIVE),
}
"""The ids of the suite's tests by group, in its order."""


def static_group(group: StaticGroup) -> dict[str, Result]:
    """The suite's tests of a form that is shown whole, by test id and in its order."""
    return {result.test: result for result in (test(group) for test in _STATIC)}


def adaptive_group(group: AdaptiveGroup) -> dict[str, Result]:
    """The suite's tests of an adaptive form, by test id and in its order."""
    return {result.test: result for result in (test(group) for test in _ADAPTIVE)}


def packages(body: Any) -> list[Json]:
    """The Bundles of an answer: those in Parameters, or the one that it is."""
    if _kind(body) == "Bundle":
        return [body]
    given = body.get("parameter", ()) if _kind(body) == "Parameters" else ()
    held = (parameter.get("resource") for parameter in given)
    return [each for each in held if _kind(each) == "Bundle"]


def forms_in(bundles: Iterable[Json]) -> list[Json]:
    """The Questionnaires in packages."""
    return _of("Questionnaire", bundles)


def package_faults(reply: Reply, errors: ResourceErrors) -> Iterator[str]:
    """Status, shape and validity of the answer to a package request."""
    if reply.status not in (200, 201):
        yield f"status {reply.status}"
    profile = {"Parameters": OUTPUT, "Bundle": PACKAGE}.get(_kind(reply.body) or "")
    if profile is None:
        yield f"the answer is a {_kind(reply.body)}"
    else:
        yield from errors(reply.body, profile)
    if not packages(reply.body):
        yield "no package"


def library_faults(bundles: Sequence[Json], known: Known) -> Iterator[str]:
    """There are libraries; each holds CQL and ELM; no name comes twice in the whole answer."""
    libraries = _of("Library", bundles)
    if not libraries:
        yield "no library"
    for library in libraries:
        url, name = library.get("url"), library.get("name")
        types = [content.get("contentType") for content in library.get("content", ())]
        yield from (f"{url} has no {wanted}" for wanted in _CONTENT_TYPES if wanted not in types)
        if name in known.names:
            yield f"another library is called {name}"
        known.names.add(str(name))
        if url is not None:
            known.urls.add(url)


def extension_faults(forms: Sequence[Json], known: Known) -> Iterator[str]:
    """Some form says at its root what fills it; what it names is there; its logic is CQL."""
    if not forms:
        yield "no form"
    extensions = [each for form in forms for each in form.get("extension", ())]
    wanted = (LAUNCH_CONTEXT, CQF_LIBRARY, *POPULATING)
    if not any(each.get("url") in wanted for each in extensions):
        yield "no form says what fills it"
    named = {each.get("valueCanonical") for each in extensions if each.get("url") == CQF_LIBRARY}
    yield from (f"no library is at {url}" for url in sorted(map(str, named - known.urls)))
    for each in extensions:
        if each.get("url") in POPULATING:
            yield from _language_faults(each)


def expression_faults(forms: Sequence[Json]) -> Iterator[str]:
    """Some item, at whatever depth, has an expression that fills it; each of those is CQL."""
    if not forms:
        yield "no form"
    extensions = [e for form in forms for item in _items(form) for e in item.get("extension", ())]
    filling = [each for each in extensions if each.get("url") in FILLING]
    if forms and not filling:
        yield NO_EXPRESSION
    for each in filling:
        yield from _language_faults(each)


def _language_faults(extension: Json) -> Iterator[str]:
    language = extension.get("valueExpression", {}).get("language", "text/cql")
    if language != "text/cql":
        yield f"{extension['url']} is written in {language}"


def _items(holder: Json) -> Iterator[Json]:
    for item in holder.get("item", ()):
        yield item
        yield from _items(item)


def _of(kind: str, bundles: Iterable[Json]) -> list[Json]:
    held = (entry.get("resource") for bundle in bundles for entry in bundle.get("entry", ()))
    return [each for each in held if _kind(each) == kind]


def _kind(body: Any) -> str | None:
    return body.get("resourceType") if isinstance(body, dict) else None


def _judged(test: str, faults: Iterable[str]) -> Result:
    found = tuple(faults)
    return Result(test, "fail" if found else "pass", found)
