"""Which forms a call gets, for which of its orders, and what has to be remarked.

Source: DTR 2.2.0, OperationDefinition questionnaire-package, §oper-7 to §oper-9.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from wiser_fhir.clock import business_date
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.dtr.context import Context
from wiser_fhir.dtr.forms import Form, Forms
from wiser_fhir.dtr.package_request import Named, PackageRequest
from wiser_fhir.errors import Problem, ProfileViolation
from wiser_fhir.fhir.codes import Line
from wiser_fhir.intake.order_codes import asked_codes
from wiser_fhir.intake.order_facts import OrderFacts, order_facts, with_occasion

MOST_REMARKS = 50
_NEVER_MEANT = frozenset({"entered-in-error", "revoked", "cancelled"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """A form that is to be filled, and the orders it is for."""

    form: Form
    orders: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a call gets. A remark is information where nothing is needed, else a warning."""

    wanted: tuple[Wanted, ...]
    remarks: tuple[Problem, ...]


def choose(
    request: PackageRequest,
    context: Context | None,
    forms: Forms,
    catalogue: Catalogue,
    *,
    line: Line,
    on: date,
) -> Choice:
    """The forms that orders and context need, each once and in one version, and those asked for by
    name. Where any of these is known, nobody gets another.

    Raises ProfileViolation where nothing of all that was asked for is known here.
    """
    search = _Search(request, catalogue, on)
    services = search.services(context)
    asked = search.asked(forms, line)
    found = list(asked) or [
        form for each in services.values() if (form := forms.of(line, each.rules))
    ]
    wanted = [
        Wanted(form, search.orders_for(form, services, asked.get(form)))
        for form in found
        if _is_new(form, request.changed_since)
    ]
    search.remark_unchanged(len(found) - len(wanted))
    if not found and not search.knows_something:
        problems = [replace(each, severity="error") for each in search.remarks]
        raise ProfileViolation("Nothing that was asked for is known here.", problems)
    return Choice(tuple(wanted), tuple(search.remarks))


@dataclass(slots=True)
class _Service:
    rules: ServiceRules
    orders: list[Named] = field(default_factory=list)


class _Search:
    """Looks for what a call needs, and keeps what is to be remarked."""

    def __init__(self, request: PackageRequest, catalogue: Catalogue, on: date) -> None:
        self.request = request
        self.catalogue = catalogue
        self.on = on
        self.remarks: list[Problem] = []
        self.knows_something = False

    def services(self, context: Context | None) -> dict[str, _Service]:
        """The services of context and orders by name; the context tells which version of rules."""
        found: dict[str, _Service] = {}
        if context is not None and context.rules is not None:
            found[context.rules.slug] = _Service(context.rules)
        if context is not None and context.why is not None:
            self._remark(context.why)
        for order in self.request.orders:
            for rules in self._services_of(order):
                found.setdefault(rules.slug, _Service(rules)).orders.append(order)
        return found

    def asked(self, forms: Forms, line: Line) -> dict[Form, str]:
        """The forms asked for by name, and where. Of several versions of one the newest: to return
        more they would have to be for different orders. Source: DTR 2.2.0 §oper-7, §oper-9.
        """
        found: dict[str, tuple[Form, str]] = {}
        for each in self.request.asked:
            form = forms.by_canonical(line, each.canonical, self.on)
            if form is None:
                why = forms.why_none(line, each.canonical, self.on)
                self._warn("not-found", why, each.place)
                continue
            other, _ = found.get(form.url, (None, ""))
            if other is not None and other.version != form.version:
                text = "Another version of a form asked for too: only the newest is sent."
                self._warn("informational", text, each.place)
            if other is None or other.version < form.version:
                found[form.url] = (form, each.place)
        return dict(found.values())

    def orders_for(
        self, form: Form, services: dict[str, _Service], place: str | None
    ) -> tuple[Named, ...]:
        """The orders that need a form; all of them where it was asked for and none does. `place` is
        where it was asked for."""
        service = services.get(form.rules.slug)
        if service is None and services:
            text = "A form asked for is none that the orders or the context need."
            self._warn("informational", text, place)
        own = service.orders if service is not None else []
        return tuple(own) or (() if service is not None else self.request.orders)

    def remark_unchanged(self, forms: int) -> None:
        """Tell of forms that the client has as they are."""
        if forms:
            text = f"Unchanged since the instant given: {forms} of the forms."
            self._remark(Problem("information", "informational", text))

    def _services_of(self, order: Named) -> Iterator[ServiceRules]:
        facts = self._facts(order)
        if facts.negative or order.view.get("status") in _NEVER_MEANT:
            text = "The order asks for nothing: no form is needed for it."
            self._remark(Problem("information", "informational", text, order.place))
            return
        codes = asked_codes(facts, self.request.follow, self.catalogue, self.on).codes
        known = [self.catalogue.recognised(code, self.on) for code in codes]
        listed = list({rules.slug: rules for rules in known if rules is not None}.values())
        active = [rules for rules in listed if rules.is_active]
        yield from active
        if listed and not active:
            text = f"WISeR does not ask about this service yet: {listed[0].name}."
            self._remark(Problem("information", "informational", text, order.place))
        elif not listed:
            whys = (self.catalogue.why_not_included(code, self.on) for code in codes)
            why = next((each for each in whys if each), None)
            text = "The order names no service that WISeR asks about."
            self._warn("not-found", f"{text} {why}" if why else text, order.place)

    def _facts(self, order: Named) -> OrderFacts:
        """What an order says, an Appointment with the order behind it."""
        facts = order_facts(order.view)
        for link in facts.basis:
            behind = self.request.follow(link)
            if behind is not None and order.kind in ("Appointment", "Encounter"):
                facts = with_occasion(facts, order_facts(behind))
        return facts

    def _warn(self, code: str, text: str, place: str | None) -> None:
        self._remark(Problem("warning", code, text, place))

    def _remark(self, problem: Problem) -> None:
        self.knows_something |= problem.severity == "information"
        if len(self.remarks) < MOST_REMARKS and problem not in self.remarks:
            self.remarks.append(problem)


def _is_new(form: Form, since: datetime | None) -> bool:
    """Whether a form has come into force after a client last asked. What has a version never
    changes, and a form is what it is from the first day its rules are in force on: its libraries
    and value sets have versions too, and are named with them. A change of the library that all
    share is a new version of it, so that a form which names the new one is a new version as well.
    That nothing changes under a version is kept by the digests of everything that is published."""
    return since is None or business_date(since) < form.rules.opens_on
