"""Whose token is whose: ours are opaque and of one length, another issuer's are anything else."""

import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Final

from wiser_fhir.auth.bearer import REFUSAL, read_bearer
from wiser_fhir.auth.external import Asking, ExternalAuthenticator
from wiser_fhir.auth.jws import MAX_TOKEN
from wiser_fhir.auth.principal import Principal
from wiser_fhir.auth.tokens import Authenticator, WrongCertificate
from wiser_fhir.errors import Unauthenticated

# Source: RFC 6750, 2.1.
_ANY: Final = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/-]+=*)")
_LONGEST = MAX_TOKEN + 16


@dataclass(frozen=True, slots=True)
class Authenticators:
    """From an Authorization header to a principal, by the tokens of one issuer or of two.

    `embedded` are our own, `external` another issuer's; one of them may be missing.
    """

    embedded: Authenticator | None
    external: ExternalAuthenticator | None

    async def principal(
        self,
        authorization: Sequence[str],
        certificate: str | None = None,
        asking: Asking = nullcontext,
    ) -> Principal:
        """Who calls, by all Authorization headers of a request, and by the certificate shown.

        A token that looks like ours and is not can be another issuer's only where that is asked
        about each one; `asking` is entered for it. Raises Unauthenticated, Throttled, Unavailable.
        """
        token = _any_token(authorization)
        if self.embedded is not None and (
            self.external is None or read_bearer(authorization) is not None
        ):
            try:
                return await self.embedded.principal(authorization, certificate)
            except WrongCertificate:
                raise  # it is ours, and nobody else is shown it
            except Unauthenticated:
                if self.external is None or not self.external.takes_opaque:
                    raise
        if self.external is None or token is None:
            raise Unauthenticated(REFUSAL)
        return await self.external.principal(token, certificate, asking)

    def forget(self, token: str) -> None:
        """Remember nothing of a token of ours that was revoked."""
        if self.embedded is not None:
            self.embedded.forget(token)


def _any_token(authorization: Sequence[str]) -> str | None:
    header = authorization[0] if len(authorization) == 1 else ""
    match = _ANY.fullmatch(header) if len(header) <= _LONGEST else None
    return None if match is None else match[1]
