"""Cards for test members: the types that WISeR itself has no reason for."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from pydantic import Field

from wiser_fhir.coverage.frozen import Frozen, OptionCode, Slug, Words
from wiser_fhir.crd.assertion import questionnaire
from wiser_fhir.crd.card_table import CARD_TYPES, CardType, Topic, card_table
from wiser_fhir.crd.cards import Card, CardLink, Occasion, Suggestion
from wiser_fhir.crd.coverage_information import CRD_CODES
from wiser_fhir.fhir.elements import Json

_SDC_CODES = "http://hl7.org/fhir/uv/sdc/CodeSystem/temp"
_PAYER = "https://wiser-fhir.example/fhir/Organization/medicare"
_PAYLOAD = "http://hl7.org/fhir/5.0/StructureDefinition/extension-CommunicationRequest.payload."
_ORDERS = (
    "ServiceRequest", "DeviceRequest", "MedicationRequest", "NutritionOrder", "VisionPrescription",
)  # fmt: skip
_ORDERED_BY = ("requester", "orderer", "prescriber")
_ORDERED_ON = ("authoredOn", "dateTime", "dateWritten")


class Member(Frozen):
    """A made-up beneficiary, and the types of card that the answers carry."""

    mbi: Words
    types: tuple[CardType, ...] = CARD_TYPES


class SuiteCard(Frozen):
    """A card that says something."""

    topic: Topic
    summary: Words
    detail: Words


class LinkCard(SuiteCard):
    """A card that leads somewhere."""

    label: Words
    url: Words
    context: Words | None = None


class SuggestionCard(SuiteCard):
    """A card that proposes something."""

    suggestion: Words
    action: Words


class OrderCard(SuggestionCard):
    """A card that proposes to ask for a document, by its code."""

    system: Words
    code: OptionCode
    text: Words


class FormCard(SuggestionCard):
    """A card that proposes a task: to complete a version of a service's form."""

    reason: Words
    form: Slug
    version: Words
    authored_on: Words


class SuiteFile(Frozen):
    """The test members and their cards, as the file holds them."""

    members: tuple[Member, ...]
    external_reference: LinkCard = Field(alias="external-reference")
    instructions: SuiteCard
    additional_orders: OrderCard = Field(alias="additional-orders")
    form_completion: FormCard = Field(alias="form-completion")
    adjust_coverage: SuggestionCard = Field(alias="adjust-coverage")
    launch_smart: LinkCard = Field(alias="launch-smart")


@dataclass(frozen=True, slots=True)
class SuiteCards:
    """The further cards of an occasion: none but for test members."""

    file: SuiteFile

    @classmethod
    def load(cls) -> "SuiteCards":
        """From the file beside this module. Raises ValidationError."""
        path = Path(__file__).with_name("suite.toml")
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        return cls(SuiteFile.model_validate_json(orjson.dumps(data)))

    def __call__(self, occasion: Occasion) -> Sequence[Card]:
        """The cards that only test members see on this hook."""
        member = next((m for m in self.file.members if m.mbi == occasion.mbi), None)
        if member is None:
            return ()
        wanted = (t for t in member.types if card_table().is_suite_only(occasion.hook, t))
        cards = (self._card(kind, occasion) for kind in wanted)
        return tuple(card for card in cards if card is not None)

    def _card(self, kind: CardType, occasion: Occasion) -> Card | None:
        file = self.file
        match kind:
            case "external-reference":
                return _linking(kind, file.external_reference)
            case "instructions":
                return _saying(kind, file.instructions)
            case "additional-orders":
                return _ordering(kind, file.additional_orders, occasion)
            case "form-completion":
                return _asking(kind, file.form_completion, occasion)
            case "adjust-coverage":
                return _adjusting(kind, file.adjust_coverage, occasion)
            case "launch-smart":
                return _linking(kind, file.launch_smart, smart=True)
            case _:
                return None


def _saying(kind: CardType, words: SuiteCard, **parts: Any) -> Card:
    return Card(kind, words.topic, "info", words.summary, words.detail, **parts)


def _linking(kind: CardType, words: LinkCard, *, smart: bool = False) -> Card:
    link = CardLink(words.label, words.url, "smart" if smart else "absolute", words.context)
    return _saying(kind, words, links=(link,))


def _proposing(kind: CardType, words: SuggestionCard, action: str, resource: Json) -> Card:
    done = {"type": action, "description": words.action, "resource": resource}
    return _saying(kind, words, suggestions=(Suggestion(words.suggestion, (done,)),))


def _ordering(kind: CardType, words: OrderCard, occasion: Occasion) -> Card | None:
    """A request for a document that goes with the first order that tells who ordered it.

    Source: CRD 2.2.1 and 2.0.1, profile-communicationrequest; §resp-57.
    """
    orders = (o for o in occasion.orders if o.get("resourceType") in _ORDERS and o.get("id"))
    order = next(orders, None)
    requester = next((order[name] for name in _ORDERED_BY if order and name in order), None)
    authored = next((order[name] for name in _ORDERED_ON if order and name in order), None)
    if order is None or requester is None or authored is None:
        return None
    coding = {"system": words.system, "code": words.code}
    payload = {
        "url": _PAYLOAD + ("content[x]" if occasion.line == "2.0" else "content"),
        "valueCodeableConcept": {"coding": [coding], "text": words.text},
    }
    resource = {
        "resourceType": "CommunicationRequest",
        "id": "asked-for-notes",
        "basedOn": [{"reference": f"{order['resourceType']}/{order['id']}"}],
        "status": "draft",
        "subject": {"reference": occasion.patient},
        "payload": [{"extension": [payload], "contentString": words.text}],
        "authoredOn": authored,
        "requester": requester,
    }
    return _proposing(kind, words, "create", resource)


def _asking(kind: CardType, words: FormCard, occasion: Occasion) -> Card:
    """A task to complete a form.

    Source: CRD 2.2.1 and 2.0.1, profile-taskquestionnaire; CRD 2.2.1 §resp-62.
    """
    coverage = occasion.coverage or {}
    payor = next((p for p in coverage.get("payor", ()) if p.get("reference")), None)
    canonical = questionnaire(words.form, words.version, occasion.line)
    task: Json = {
        "resourceType": "Task",
        "id": "complete-form",
        "status": "ready",
        "intent": "order",
        "code": {"coding": [{"system": _SDC_CODES, "code": "complete-questionnaire"}]},
        "for": {"reference": occasion.patient},
        "authoredOn": words.authored_on,
        "requester": {"reference": payor["reference"] if payor else _PAYER},
        "reasonCode": {"text": words.reason},
        "input": [{"type": _input("questionnaire"), "valueCanonical": canonical}],
    }
    named = [o for o in occasion.orders if o.get("id")]
    if named:
        task["basedOn"] = [{"reference": f"{o['resourceType']}/{o['id']}"} for o in named]
    if occasion.line == "2.0":
        task["reasonCode"]["coding"] = [{"system": CRD_CODES, "code": "reason-prior-auth"}]
        after = {"coding": [{"system": CRD_CODES, "code": "after-completion-action"}]}
        included = {"coding": [{"system": CRD_CODES, "code": "prior-auth-include"}]}
        task["input"].append({"type": after, "valueCodeableConcept": included})
    return _proposing(kind, words, "create", task)


def _input(code: str) -> Json:
    """The text is what some look for. Source: Inferno CRD kit 0.13.0, form completion."""
    return {"coding": [{"system": _SDC_CODES, "code": code}], "text": code}


def _adjusting(kind: CardType, words: SuggestionCard, occasion: Occasion) -> Card | None:
    """The very Coverage of the call, marked as primary. Source: CRD 2.2.1 §resp-69 to §resp-71."""
    if occasion.coverage is None or "id" not in occasion.coverage:
        return None
    return _proposing(kind, words, "update", occasion.coverage | {"order": 1})
