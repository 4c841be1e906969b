"""What the operator decided: numbers, reasons, rules, and what is known beforehand."""

from wiser_fhir.egress.scanner import ClamdScanner, Scanner, ScannerAddress
from wiser_fhir.pas.decision_reasons import DecisionReasons
from wiser_fhir.pas.reject_reasons import RejectReasons
from wiser_fhir.priorauth.decide import Policy
from wiser_fhir.priorauth.numbers import LocalUtnSource, UtnSource
from wiser_fhir.priorauth.registry import InMemoryRegistry, Registry
from wiser_fhir.sandbox.scanner import SandboxScanner
from wiser_fhir.sandbox.tenant import Tenant
from wiser_fhir.settings import SANDBOX_PREFIX, Settings, SettingsError


def scanner(settings: Settings) -> Scanner | None:
    """What looks at attachments; None leaves all of them in quarantine."""
    if settings.scanner is not None:
        return ClamdScanner(ScannerAddress.of(settings.scanner))
    return SandboxScanner() if settings.sandbox else None


def utn_source(settings: Settings) -> UtnSource:
    """Who gives numbers. There is one source yet; `check_mode` has seen to its prefix."""
    return LocalUtnSource(SANDBOX_PREFIX if settings.sandbox else settings.utn_prefix or "")


def reject_reasons(settings: Settings) -> RejectReasons:
    """From our reasons to the codes of X12. Raises SettingsError for a file that does not say."""
    try:
        return RejectReasons.load(settings.reject_reasons)
    except (AttributeError, TypeError, ValueError) as fault:
        raise SettingsError(f"WISER_REJECT_REASONS: {fault}") from fault


def decision_reasons(settings: Settings) -> DecisionReasons:
    """From our reasons for a decision to X12's codes. Raises SettingsError for a bad file."""
    try:
        return DecisionReasons.load(settings.decision_reasons)
    except (AttributeError, TypeError, ValueError) as fault:
        raise SettingsError(f"WISER_DECISION_REASONS: {fault}") from fault


def policy(settings: Settings) -> Policy:
    """What the operator decided, with what the mode decides where nothing was said."""
    return Policy(
        served_states=frozenset(settings.states),
        auto_affirm=settings.affirms_by_software,
        require_reviewed=not settings.sandbox,
    )


def registry(settings: Settings) -> Registry:
    """What is known of people beyond a request: a file, the sandbox's, or nothing."""
    if settings.registry is not None:
        return InMemoryRegistry.load(settings.registry)
    if settings.sandbox:
        return InMemoryRegistry.of(Tenant.load().registry)
    return InMemoryRegistry()
