"""What a client is told of a token. Source: RFC 7662, 2.2; RFC 8705, 3.2."""

from wiser_fhir.auth.tokens import LiveToken
from wiser_fhir.fhir.elements import Json


def introspection(token: LiveToken | None, client: str, issuer: str) -> Json:
    """The answer about a live token of the client of this name; None is any other token."""
    if token is None:
        return {"active": False}
    bound = {} if token.certificate is None else {"cnf": {"x5t#S256": token.certificate}}
    return {
        "active": True,
        "scope": " ".join(token.scopes),
        "client_id": client,
        "token_type": "Bearer",
        "exp": int(token.expires_at.timestamp()),
        "iat": int(token.issued_at.timestamp()),
        "sub": client,
        "iss": issuer,
        **bound,
    }
