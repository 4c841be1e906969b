"""The public addresses of coverage policies, as far as the catalogue holds them."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.models import Policy, ServiceRules
from wiser_fhir.coverage.process import Source

_PUBLISHER = "cms.gov"


@dataclass(frozen=True, slots=True)
class PolicyLink:
    """A public page, and what a reader may call it."""

    label: str
    url: str


def policy_links(
    rules: ServiceRules, state: str | None, catalogue: Catalogue
) -> tuple[PolicyLink, ...]:
    """The policies that hold in a state, those whose page at CMS the catalogue knows.

    Without a state, those that hold everywhere.
    """
    if state is not None and state in catalogue.states:
        policies = rules.policies_in(catalogue.states[state].mac)
    else:
        policies = tuple(policy for policy in rules.policies if not policy.macs)
    return tuple(link for policy in policies for link in _links(policy, catalogue))


def guide_link(rules: ServiceRules, catalogue: Catalogue) -> PolicyLink | None:
    """The operational guide, with the section that tells what is asked of the service."""
    source = catalogue.sources.get("guide")
    if source is None or source.url is None:
        return None
    return PolicyLink(f"WISeR Operational Guide, section {rules.guide_section}", source.url)


def _links(policy: Policy, catalogue: Catalogue) -> Iterator[PolicyLink]:
    number = policy.id.lower().replace(".", "-")
    for key in (f"ncd-{number}", f"cms-{number}"):
        source = catalogue.sources.get(key)
        if source is not None and source.url is not None and _is_primary(source):
            yield PolicyLink(source.title, source.url)


def _is_primary(source: Source) -> bool:
    """The publisher's own page: a mirror may go or change."""
    host = urlsplit(source.url or "").hostname or ""
    at_home = host == _PUBLISHER or host.endswith("." + _PUBLISHER)
    return at_home and source.authority.startswith("primary")
