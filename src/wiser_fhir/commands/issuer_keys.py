"""`wiser-fhir issuer-keys`: by what another issuer of tokens knows us."""

import orjson

from wiser_fhir.commands.environment import settings_of_environment
from wiser_fhir.deployment.issuers import own_key
from wiser_fhir.settings import SettingsError


def issuer_keys() -> None:
    """Print the public half of WISER_AUTH_CLIENT_KEY as a JWKS, to register at WISER_AUTH_ISSUER
    for WISER_AUTH_CLIENT_ID: by it we ask about tokens.
    """
    own = own_key(settings_of_environment())
    if own is None:
        raise SettingsError("WISER_AUTH_CLIENT_KEY: issuer-keys needs it, and WISER_AUTH_CLIENT_ID")
    print(orjson.dumps(own.public_keys(), option=orjson.OPT_INDENT_2).decode())
