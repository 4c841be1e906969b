"""Clients that registered by UDAP at the token endpoint: their certificate, and on whose behalf.

Source: UDAP Security 2.0.0, "Constructing Authentication Token", "B2B Authorization Extension
Object".
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import anyio

from wiser_fhir.auth.assertion import OAuthRefused, RegisteredClient
from wiser_fhir.auth.jws import MAX_LIFE, JwtRefused, instant
from wiser_fhir.auth.keys import PublicKey
from wiser_fhir.auth.udap_chain import ChainRefused, Trust
from wiser_fhir.auth.udap_registration import CHAINS
from wiser_fhir.clock import Clock
from wiser_fhir.fhir.elements import Json

EXTENSION: Final = "hl7-b2b"

_URI = re.compile("[A-Za-z][A-Za-z0-9+.-]*:[!-~]{1,2000}")
_NPI = re.compile(r"urn:oid:2\.16\.840\.1\.113883\.4\.6#([0-9]{10})")
_LONGEST = 200
_MOST = 10


@dataclass(frozen=True, slots=True)
class UdapClients:
    """Finds the key of a client by the chain that its JWT brings. `denied` is told a x5t#S256."""

    clock: Clock
    trust: Trust
    denied: Callable[[str], bool]

    async def key(self, header: Json, client: RegisteredClient) -> PublicKey:
        """The key of the first certificate in `x5c`.

        The community under which the client registered must vouch for it now, and it must name the
        URI that was registered: another certificate of the same holder is as good as the first.
        Raises JwtRefused, Unavailable.
        """
        try:
            holder = await anyio.to_thread.run_sync(
                self.trust.holder, header, self.clock(), client.community, limiter=CHAINS
            )
        except ChainRefused as refused:
            raise JwtRefused(refused.reason) from None
        if client.certificate_uri not in holder.uris or self.denied(holder.thumbprint):
            raise JwtRefused("certificate")
        return holder.key

    def check(
        self, claims: Json, client: RegisteredClient, *, for_token: bool
    ) -> Mapping[str, str]:
        """Life, and on whose behalf: words for the audit trail, and no name of anybody.

        The B2B object is what a token is asked for with, and is looked for nowhere else. Raises
        JwtRefused, and OAuthRefused `invalid_grant` for one that is not there or not whole.
        """
        lived = instant(claims, "exp") - instant(claims, "iat")
        if not 0 < lived <= MAX_LIFE:
            raise JwtRefused("life")
        if not for_token:
            return {}
        try:
            return on_behalf(claims)
        except ExtensionRefused as refused:
            raise OAuthRefused("invalid_grant", refused.reason, client) from None


class ExtensionRefused(Exception):
    """A B2B object that does not say what it must. `reason` is a word of ours."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def on_behalf(claims: Json) -> dict[str, str]:
    """For which organization and purpose a token is asked for, by the claims. Pure.

    Of a person only the NPI is told. Raises ExtensionRefused.
    """
    extensions = claims.get("extensions")
    given = extensions.get(EXTENSION) if isinstance(extensions, dict) else None
    if not isinstance(given, dict):
        raise ExtensionRefused("b2b-missing")
    if given.get("version") != "1":
        raise ExtensionRefused("b2b-version")
    organization, purposes = given.get("organization_id"), given.get("purpose_of_use", [])
    if not isinstance(organization, str) or not _URI.fullmatch(organization):
        raise ExtensionRefused("b2b-organization")
    if not _are_words(purposes):
        raise ExtensionRefused("b2b-purpose")
    _check_subject(given)
    _check_consent(given)
    said = {"organization_id": organization, "purpose_of_use": "|".join(purposes)}
    npi = _NPI.fullmatch(str(given.get("subject_id")))
    return {**said, "subject_npi": npi[1]} if npi else said


def _are_words(value: Any) -> bool:
    return isinstance(value, list) and 0 < len(value) <= _MOST and all(map(_is_word, value))


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value.strip()) <= _LONGEST


def _check_subject(given: Json) -> None:
    """What identifies a person goes with the person's name."""
    for name in ("subject_name", "subject_id", "subject_role", "organization_name"):
        if name in given and not _is_word(given[name]):
            raise ExtensionRefused("b2b-subject")
    if "subject_name" not in given and not {"subject_id", "subject_role"}.isdisjoint(given):
        raise ExtensionRefused("b2b-subject")


def _check_consent(given: Json) -> None:
    """A consent is told with the policy that it is under; what it refers to is never fetched."""
    for name in ("consent_policy", "consent_reference"):
        if name in given and not _are_words(given[name]):
            raise ExtensionRefused("b2b-consent")
    if "consent_reference" in given and "consent_policy" not in given:
        raise ExtensionRefused("b2b-consent")
