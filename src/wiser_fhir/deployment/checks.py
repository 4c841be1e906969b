"""What serving and working need of the settings together, each of them well formed."""

from pathlib import Path

from wiser_fhir.audit.checkpoints import SigningKeys
from wiser_fhir.setting_types import is_issuer
from wiser_fhir.settings import PREFIX, SANDBOX_PREFIX, Settings, SettingsError

_FILES = (
    "tls_cert",
    "tls_key",
    "tls_client_ca",
    "tls_crl",
    "people_client_key",
    "tls_client_cert",
    "tls_client_key",
    "egress_ca",
    "auth_client_key",
    "audit_signing_key",
    "registry",
    "reject_reasons",
    "decision_reasons",
)


def check_mode(settings: Settings) -> None:
    """What serving in this mode needs and refuses. Raises SettingsError naming every fault."""
    problems = _pair_problems(settings) + _file_problems(settings) + _folder_problems(settings)
    if not settings.sandbox:
        problems += _production_problems(settings)
    if problems:
        raise SettingsError("; ".join(problems))


def check_worker(settings: Settings) -> None:
    """What a worker needs beyond that: it alone vouches for the audit trail.

    Raises SettingsError naming every fault.
    """
    names = () if settings.sandbox else ("audit_signing_key", "audit_checkpoints")
    problems = [
        f"{PREFIX}{name.upper()}: a production worker needs it"
        for name in names
        if getattr(settings, name) is None
    ]
    if settings.audit_checkpoints is not None and not settings.audit_checkpoints.is_dir():
        problems.append(f"WISER_AUDIT_CHECKPOINTS: no such folder: {settings.audit_checkpoints}")
    if settings.audit_signing_key is not None:
        problems += _signing_problems(settings.audit_signing_key)
    if problems:
        raise SettingsError("; ".join(problems))


def _pair_problems(settings: Settings) -> list[str]:
    problems = []
    if (settings.tls_cert is None) != (settings.tls_key is None):
        problems.append("WISER_TLS_CERT and WISER_TLS_KEY: set both or neither")
    if (settings.tls_client_cert is None) != (settings.tls_client_key is None):
        problems.append("WISER_TLS_CLIENT_CERT and WISER_TLS_CLIENT_KEY: set both or neither")
    problems += [
        f"WISER_{name}: needs WISER_{needed}"
        for name, needed in (
            ("TLS_CLIENT_CA", "TLS_CERT"),
            ("TLS_CRL", "TLS_CLIENT_CA"),
            ("TLS_PROXY_CERTIFICATES", "TLS_CLIENT_CA"),
            ("UDAP_ANCHORS", "UDAP_CRLS"),
            ("UDAP_CERTIFICATE", "UDAP_ANCHORS"),
            ("UDAP_CRL_URLS", "UDAP_CRLS"),
        )
        if getattr(settings, name.lower()) and not getattr(settings, needed.lower())
    ]
    return problems + _issuer_problems(settings) + _people_problems(settings)


def _issuer_problems(settings: Settings) -> list[str]:
    """Another issuer is named where it counts, and not where it does not."""
    asked = ("auth_introspection_url", "auth_client_id", "auth_client_key")
    given = [name for name in asked if getattr(settings, name) is not None]
    problems = []
    if settings.auth_issuer is None and settings.auth_mode != "embedded":
        problems.append(f"WISER_AUTH_ISSUER: WISER_AUTH_MODE={settings.auth_mode} needs it")
    if settings.auth_issuer is not None and settings.auth_mode == "embedded":
        problems.append("WISER_AUTH_ISSUER: goes with WISER_AUTH_MODE=external or both")
    if given and (settings.auth_issuer is None or len(given) < len(asked)):
        names = " and ".join(f"{PREFIX}{name.upper()}" for name in asked)
        problems.append(f"{names}: set all with WISER_AUTH_ISSUER, or none")
    if settings.auth_audience is not None and settings.auth_issuer is None:
        problems.append("WISER_AUTH_AUDIENCE: needs WISER_AUTH_ISSUER")
    return problems


def _people_problems(settings: Settings) -> list[str]:
    """Where people sign in this server is somebody, by one proof of it."""
    issuer, client = settings.people_issuer, settings.people_client_id
    proofs = ("people_client_key", "people_client_secret")
    given = [name for name in proofs if getattr(settings, name) is not None]
    problems = []
    if issuer is not None and not is_issuer(issuer):
        problems.append("WISER_PEOPLE_ISSUER: is no URL of an issuer")
    if (issuer is None) != (client is None):
        problems.append("WISER_PEOPLE_ISSUER and WISER_PEOPLE_CLIENT_ID: set both or neither")
    if (issuer is None and given) or (issuer is not None and len(given) != 1):
        problems.append(
            "WISER_PEOPLE_CLIENT_KEY: with WISER_PEOPLE_ISSUER set it, or"
            " WISER_PEOPLE_CLIENT_SECRET, and not both"
        )
    return problems


def _folder_problems(settings: Settings) -> list[str]:
    folder = settings.udap_crls
    if folder is not None and not folder.is_dir():
        return [f"WISER_UDAP_CRLS: no such folder: {folder}"]
    return []


def _file_problems(settings: Settings) -> list[str]:
    files = {name: getattr(settings, name) for name in _FILES}
    return [
        f"{PREFIX}{name.upper()}: no such file: {path}"
        for name, path in files.items()
        if path is not None and not path.is_file()
    ]


def _production_problems(settings: Settings) -> list[str]:
    problems = [
        f"{PREFIX}{name.upper()}: production needs it"
        for name in (
            *("database_url", "utn_source", "public_url"),
            *("audit_key", "secrets_key", "index_key"),
        )
        if getattr(settings, name) is None
    ]
    if settings.tls_cert is None and settings.tls_proxy is None:
        problems.append(
            "WISER_TLS_CERT: production needs it with WISER_TLS_KEY, or WISER_TLS_PROXY"
        )
    if settings.utn_prefix in (None, SANDBOX_PREFIX):
        problems.append(f"WISER_UTN_PREFIX: production needs one other than {SANDBOX_PREFIX}")
    if settings.sandbox_hosts:
        problems.append("WISER_SANDBOX_HOSTS: production refuses it")
    problems += [
        f"{PREFIX}{name.upper()}: production needs https"
        for name in ("mtls_url", "auth_issuer", "auth_introspection_url", "people_issuer")
        if not (getattr(settings, name) or "https:").startswith("https:")
    ]
    return problems


def _signing_problems(file: Path) -> list[str]:
    """A worker signs: by a public key it would make no checkpoints, and nobody would see it."""
    try:
        keys = SigningKeys.read(file.read_text())
    except (OSError, ValueError) as refused:
        return [f"WISER_AUDIT_SIGNING_KEY: {refused}"]
    if keys.signing is None:
        return ["WISER_AUDIT_SIGNING_KEY: begins with a public key: a worker needs a private one"]
    return []
