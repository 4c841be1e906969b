"""Everything an operator can set, read once from the environment. Only `app` and `cli` import it.

Every variable begins `WISER_`. One that is unknown or malformed stops the start with one line that
names it: a misspelt safeguard must not be taken for an absent one.
"""

import base64
import binascii
import difflib
import os
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import (
    Field,
    SecretBytes,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from wiser_fhir.egress.scanner import ScannerAddress
from wiser_fhir.egress.url import read_origin, read_url

PREFIX = "WISER_"

Mode = Literal["production", "sandbox"]
State = Literal["NJ", "OH", "OK", "TX", "AZ", "WA"]
Listed = NoDecode  # comma-separated in the environment, not JSON

MODEL_STATES: tuple[State, ...] = get_args(State)
_SHORTEST_KEY = 32
SANDBOX_PREFIX = "ZZ"
_HEX_THUMBPRINT = re.compile("[0-9A-Fa-f]{64}")
_THUMBPRINT = re.compile("[A-Za-z0-9_-]{43}")
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


class SettingsError(Exception):
    """The environment cannot be started with. The text is one line and names the variable."""


def _named(name: str, problem: str) -> PydanticCustomError:
    """An error whose text already says which variable it is about."""
    return PydanticCustomError("setting", "{problem}", {"problem": f"{PREFIX}{name}: {problem}"})


class Settings(BaseSettings):
    """What the environment says, checked. Build it with `from_env`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    mode: Mode = Field(
        "production",
        description="`production`, or `sandbox`: made-up people, embedded database, tokens on"
        " demand. The first migration writes it into the database; a mismatch stops the start.",
    )
    database_url: SecretStr | None = Field(
        None,
        description="Postgres (15 or later) as the application role,"
        " `postgresql://wiser_app:...@host/name`. Needed in production; unset in the sandbox:"
        " an embedded server in the data directory.",
    )
    database_owner_url: SecretStr | None = Field(
        None,
        description="The same database as the owner role; only `migrate`, `cds-client`,"
        " `sandbox reset` and the worker's clean-up use it.",
    )
    database_pool: int = Field(10, ge=1, le=200, description="Database connections per process.")
    data_dir: Path = Field(
        Path("var"),
        description="Where the sandbox keeps its database and its generated keys.",
    )
    public_url: str | None = Field(
        None,
        description="Scheme, host and port that clients use, without a path: written into"
        " `metadata`, never taken from a request. Needed in production; in the sandbox the address"
        " that is listened on.",
    )
    tls_cert: Path | None = Field(
        None, description="Certificate chain (PEM). In production this and the key, or a proxy."
    )
    tls_key: Path | None = Field(None, description="Private key of the certificate (PEM).")
    tls_proxy: str | None = Field(
        None,
        description="Name of the proxy in front that ends TLS; nothing it forwards is trusted, but"
        " for the client certificates of one in `WISER_TLS_PROXY_CERTIFICATES`.",
    )
    tls_client_ca: Path | None = Field(
        None,
        description="Authorities (PEM) whose certificates clients may show. Unset: no client is"
        " asked for one. Read anew when the file changes.",
    )
    tls_crl: Path | None = Field(
        None,
        description="Lists of revoked certificates (PEM), one of each authority in a client's"
        " chain. A certificate whose authority has no list here, or one out of date, is refused."
        " Unset: no lists are looked at. Read anew when the file changes.",
    )
    tls_proxy_certificates: Annotated[tuple[str, ...], Listed] = Field(
        (),
        description="SHA-256 thumbprints, as hex or `x5t#S256`, of the certificates with which"
        " proxies call: only they are believed when they name a client's, in `X-Client-Cert`.",
    )
    mtls_url: str | None = Field(
        None,
        description="Scheme, host and port of the listener that asks for client certificates, if"
        " it is another than that of `WISER_PUBLIC_URL`.",
    )
    tls_client_cert: Path | None = Field(
        None,
        description="Certificate chain (PEM) that this server shows to subscribers' servers when it"
        " notifies them, with its key.",
    )
    tls_client_key: Path | None = Field(None, description="Private key of that certificate (PEM).")
    egress_ca: Path | None = Field(
        None,
        description="Authorities (PEM) that are believed beside the system's when this server calls"
        " others.",
    )
    auth_mode: Literal["embedded", "external", "both"] = Field(
        "embedded",
        description="Whose tokens clients bring: our own (`embedded`), those of `WISER_AUTH_ISSUER`"
        " (`external`, which turns the authorization server here off), or `both`.",
    )
    auth_issuer: str | None = Field(
        None,
        description="Another issuer of clients' tokens, as its `iss` stands, such as"
        " `https://sso.example/realms/payer`; https, but for the sandbox.",
    )
    auth_audience: str | None = Field(
        None,
        min_length=1,
        max_length=2048,
        description="What the `aud` of that issuer's tokens is for us. Unset: `WISER_PUBLIC_URL`.",
    )
    auth_introspection_url: str | None = Field(
        None,
        description="Where that issuer tells about a token (RFC 7662): each one is asked about,"
        " so that one taken back is refused within ten seconds. Unset: its tokens are JWTs (RFC"
        " 9068), good until they end.",
    )
    auth_client_id: str | None = Field(
        None, min_length=1, description="What that issuer calls us when it is asked."
    )
    auth_client_key: Path | None = Field(
        None,
        description="Private key (PEM, RSA or EC on P-256 or P-384) by which we prove it;"
        " `issuer-keys` prints the public half for the issuer.",
    )
    utn_source: Literal["local"] | None = Field(
        None,
        description="Who gives unique tracking numbers. `local`: this server. Must be said in"
        " production; `local` in the sandbox.",
    )
    utn_prefix: str | None = Field(
        None,
        pattern="^[A-Z0-9]{2}$",
        description="First two characters of numbers this server gives. Must be said in production"
        " with `local`; `ZZ`, which only the sandbox may use, in the sandbox.",
    )
    auto_affirm: bool | None = Field(
        None,
        description="Whether software may affirm a request that meets every criterion. Off in"
        " production unless set; on in the sandbox.",
    )
    states: Annotated[tuple[State, ...], Listed] = Field(
        MODEL_STATES, min_length=1, description="States this participant serves, comma-separated."
    )
    sandbox_hosts: Annotated[tuple[str, ...], Listed] = Field(
        (),
        description="Exact origins the sandbox may call besides its own, http and loopback"
        " included. Refused in production.",
    )
    people_issuer: str | None = Field(
        None,
        description="OpenID provider where people sign in: its issuer, by https in production."
        " Unset: nobody signs in, and in the sandbox people are picked from a page.",
    )
    people_client_id: str | None = Field(
        None,
        min_length=1,
        description="What this server is called there. Its redirect URI is"
        " `{WISER_PUBLIC_URL}/sign-in/callback`.",
    )
    people_client_key: Path | None = Field(
        None,
        description="Private key (PEM: P-256, P-384 or RSA) that this server authenticates with"
        " there (`private_key_jwt`); its public half is at `/sign-in/keys`.",
    )
    people_client_secret: SecretStr | None = Field(
        None, description="Secret instead of that key, where the provider takes no keys."
    )
    people_acr: Annotated[tuple[str, ...], Listed] = Field(
        (),
        description="Ways to authenticate (`acr`), comma-separated, of which signing in again"
        " before a decision against a provider asks for one. Unset: the provider's own choice.",
    )
    audit_key: SecretBytes | None = Field(
        None,
        description="Key of the HMAC that stands for a beneficiary in the audit trail: at least 32"
        " bytes in base64. Needed in production; in the sandbox generated once and kept in the"
        " data directory.",
    )
    audit_keys_before: Annotated[tuple[SecretBytes, ...], Listed] = Field(
        (),
        description="Audit keys of earlier days, newest first, comma-separated, each as"
        " `WISER_AUDIT_KEY`: what they sealed can be verified and found, nothing new is sealed by"
        " them.",
    )
    audit_signing_key: Path | None = Field(
        None,
        description="Private key (PEM, P-384) that signs checkpoints of the audit trail; public"
        " keys of earlier ones may follow it in the file. The worker's alone: a production worker"
        " needs it. In the sandbox generated once and kept in the data directory.",
    )
    audit_checkpoints: Path | None = Field(
        None,
        description="Folder that checkpoints of the audit trail are written to and never changed"
        " in: a mount of write-once storage elsewhere. A production worker needs it; in the sandbox"
        " a folder in the data directory.",
    )
    secrets_key: SecretBytes | None = Field(
        None,
        description="Key that wraps the keys by which what is stored about people is encrypted: at"
        " least 32 bytes in base64, the same for every process. Needed in production; in the"
        " sandbox generated once and kept in the data directory.",
    )
    secrets_keys_before: Annotated[tuple[SecretBytes, ...], Listed] = Field(
        (),
        description="Other such keys that still open what they wrapped, comma-separated: those"
        " before, and while the key is changed the next one.",
    )
    index_key: SecretBytes | None = Field(
        None,
        description="Key of the index by which a beneficiary's records are found without their"
        " number: at least 32 bytes in base64, the same for every process. Needed in production;"
        " in the sandbox generated once and kept in the data directory. It is changed only with"
        " `wiser-fhir keys reindex`, while nothing is served.",
    )
    scanner: str | None = Field(
        None,
        description="Where ClamAV's daemon listens, `tcp://host:3310` or `unix:///path`: files"
        " that come with requests or after them stay in quarantine until it has checked them."
        " Unset: they stay there for good in production; the sandbox has a scanner of its own"
        " that knows the EICAR test file.",
    )
    registry: Path | None = Field(
        None,
        description="TOML file of what is known of beneficiaries and providers beyond a request"
        " (deceased, Medicare Advantage, ineligible, exempt). Unset: nothing is known in"
        " production, made-up people in the sandbox; what is not known never dismisses.",
    )
    exemption_rate: Decimal | None = Field(
        None,
        gt=0,
        le=1,
        description="Least share of affirmations that exempts a provider, such as `0.9`. No rate is"
        " published. Unset: nobody is assessed; who is exempt stays so.",
    )
    reject_reasons: Path | None = Field(
        None,
        description="TOML file that maps our reasons of refusal to X12 codes; unset: our own map.",
    )
    decision_reasons: Path | None = Field(
        None,
        description="TOML file that maps our reasons for a decision to X12 886 codes; unset: our"
        " own map.",
    )
    udap_anchors: Annotated[tuple[str, ...], Listed] = Field(
        (),
        description="Trust communities of UDAP, comma-separated: for each `<its URI>=<path>`, the"
        " path of a PEM file of its anchors or of a folder of such files; without `<its URI>=` for"
        " one that goes by none. Unset: nobody registers by UDAP; the sandbox has a community of"
        " its own beside.",
    )
    udap_certificate: Annotated[tuple[str, ...], Listed] = Field(
        (),
        description="This server's own certificate chain (PEM, leaf first, which names both base"
        " URLs as URIs) in a community, as `<URI>=<path>`; without `<URI>=` in each that has none"
        " of its own. With it UDAP metadata is signed; without it there is none.",
    )
    udap_key: Annotated[tuple[str, ...], Listed] = Field(
        (),
        description="Private key (PEM, RSA) of each certificate of `WISER_UDAP_CERTIFICATE`, named"
        " alike.",
    )
    udap_crls: Path | None = Field(
        None,
        description="Folder of lists of revoked certificates (PEM or DER): a client's certificate"
        " is refused unless there is a current one of every authority in its chain. Needed with"
        " `WISER_UDAP_ANCHORS`.",
    )
    udap_crl_urls: Annotated[tuple[str, ...], Listed] = Field(
        (),
        description="Where the worker gets such lists every hour and keeps them in that folder,"
        " comma-separated; http is allowed, for a list is signed. Unset: somebody else fills it.",
    )
    fhir_packages: Path | None = Field(
        None,
        description="Folder of FHIR packages, `<id>#<version>.tgz`, for `igs compile` and"
        " `igs verify`.",
    )
    max_connections: int = Field(
        512,
        ge=8,
        le=65_536,
        description="Open connections per process; beyond it the answer is 503.",
    )
    caller_requests: int = Field(
        128,
        ge=4,
        description="Requests at once of one organization or person, per process; beyond it the"
        " answer is 429.",
    )
    caller_rate: float = Field(
        100,
        gt=0,
        description="Requests a second of one organization or person, per process, for long; ten"
        " times as many may come at once. Beyond it the answer is 429.",
    )
    stranger_rate: float = Field(
        20,
        gt=0,
        description="Vain attempts a second to show who one is, of one address, per process, for"
        " long; ten times as many may come at once. Beyond it the answer is 429, and no audit row"
        " is written. More where a proxy shows no certificate and so all come from its address.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="How much is logged."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `from_env` hands in: no .env file, nothing that `from_env` did not check."""
        return (init_settings,)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """The settings of this process, each well formed. Raises SettingsError.

        What the mode needs is another matter (`check_mode`): compiling guides needs no database.
        """
        environ = os.environ if environ is None else environ
        given = {k.removeprefix(PREFIX): v for k, v in environ.items() if k.startswith(PREFIX)}
        for name in given:
            if name.lower() not in cls.model_fields or name != name.upper():
                raise SettingsError(_unknown(name))
        try:
            return cls.model_validate({name.lower(): value for name, value in given.items()})
        except ValidationError as error:
            raise SettingsError(_one_line(error)) from None

    @field_validator(
        "states",
        "sandbox_hosts",
        "tls_proxy_certificates",
        "udap_anchors",
        "udap_certificate",
        "udap_key",
        "udap_crl_urls",
        "people_acr",
        "secrets_keys_before",
        "audit_keys_before",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part for part in (each.strip() for each in value.split(",")) if part)

    @field_validator("audit_key", "secrets_key", "index_key", mode="before")
    @classmethod
    def _decode_key(cls, value: object, about: ValidationInfo) -> object:
        return _key(str(about.field_name), value) if isinstance(value, str) else value

    @field_validator("secrets_keys_before", "audit_keys_before", mode="after")
    @classmethod
    def _decode_keys(cls, value: tuple[SecretBytes, ...], about: ValidationInfo) -> object:
        name = str(about.field_name)
        return tuple(SecretBytes(_key(name, key.get_secret_value().decode())) for key in value)

    @field_validator("public_url", "mtls_url")
    @classmethod
    def _origin_only(cls, value: str | None, about: ValidationInfo) -> str | None:
        return None if value is None else origin(str(about.field_name).upper(), value)

    @field_validator("udap_crl_urls")
    @classmethod
    def _urls_only(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(map(read_url, value)):
            raise _named("UDAP_CRL_URLS", "needs URLs that can be read in one way only")
        return value

    @field_validator("tls_proxy_certificates")
    @classmethod
    def _thumbprints_only(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_thumbprint, value))

    @field_validator("auth_issuer", "auth_introspection_url")
    @classmethod
    def _url_only(cls, value: str | None, about: ValidationInfo) -> str | None:
        read = None if value is None else read_url(value)
        if value is not None and (read is None or read.query is not None):
            name = str(about.field_name).upper()
            raise _named(name, "is no http or https URL that can be read in one way only")
        return value

    @field_validator("scanner")
    @classmethod
    def _address_only(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ScannerAddress.of(value)
            except ValueError as fault:
                raise _named("SCANNER", str(fault)) from None
        return value

    @field_validator("sandbox_hosts")
    @classmethod
    def _origins_only(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if read_origin(origin("SANDBOX_HOSTS", each)) is None:
                raise _named("SANDBOX_HOSTS", "names a host that could be read in two ways")
        return value

    @field_validator("database_url", "database_owner_url")
    @classmethod
    def _postgres_only(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            scheme = value.get_secret_value().partition("://")[0]
            if scheme not in {"postgresql", "postgres"}:
                raise PydanticCustomError("setting", "must begin with postgresql://")
        return value

    @property
    def sandbox(self) -> bool:
        """Whether this is the sandbox."""
        return self.mode == "sandbox"

    @property
    def certificate(self) -> tuple[Path, Path] | None:
        """Certificate chain and key, where this process ends TLS itself."""
        if self.tls_cert is None or self.tls_key is None:
            return None
        return self.tls_cert, self.tls_key

    @property
    def client_certificate(self) -> tuple[Path, Path] | None:
        """Certificate chain and key that subscribers' servers are shown."""
        if self.tls_client_cert is None or self.tls_client_key is None:
            return None
        return self.tls_client_cert, self.tls_client_key

    @property
    def affirms_by_software(self) -> bool:
        """Whether software may affirm."""
        return self.sandbox if self.auto_affirm is None else self.auto_affirm

    def check_mode(self) -> None:
        """What serving in this mode needs and refuses. Raises SettingsError naming every fault."""
        problems = _pair_problems(self) + _file_problems(self) + _folder_problems(self)
        if not self.sandbox:
            problems += _production_problems(self)
        if problems:
            raise SettingsError("; ".join(problems))

    def check_worker(self) -> None:
        """What a worker needs beyond that: it alone vouches for the audit trail.

        Raises SettingsError naming every fault.
        """
        names = () if self.sandbox else ("audit_signing_key", "audit_checkpoints")
        problems = [
            f"{PREFIX}{name.upper()}: a production worker needs it"
            for name in names
            if getattr(self, name) is None
        ]
        if self.audit_checkpoints is not None and not self.audit_checkpoints.is_dir():
            problems.append(f"WISER_AUDIT_CHECKPOINTS: no such folder: {self.audit_checkpoints}")
        if problems:
            raise SettingsError("; ".join(problems))


def _key(name: str, value: str) -> bytes:
    try:
        key = base64.b64decode(value, validate=True)
    except binascii.Error:
        raise _named(name.upper(), "is not base64") from None
    if len(key) < _SHORTEST_KEY:
        raise _named(name.upper(), f"needs at least {_SHORTEST_KEY} bytes")
    return key


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
    if (settings.auth_issuer is None) != (settings.auth_mode == "embedded"):
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
    if issuer is not None and not _is_issuer(issuer):
        problems.append("WISER_PEOPLE_ISSUER: is no URL of an issuer")
    if (issuer is None) != (client is None):
        problems.append("WISER_PEOPLE_ISSUER and WISER_PEOPLE_CLIENT_ID: set both or neither")
    if (issuer is None and given) or (issuer is not None and len(given) != 1):
        problems.append(
            "WISER_PEOPLE_CLIENT_KEY: with WISER_PEOPLE_ISSUER set it, or"
            " WISER_PEOPLE_CLIENT_SECRET, and not both"
        )
    return problems


def _is_issuer(url: str) -> bool:
    """Whether a URL can name an issuer: it has no query. Source: RFC 8414, 2."""
    place = read_url(url)
    return place is not None and place.query is None


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


def _thumbprint(value: str) -> str:
    """A SHA-256 thumbprint as `x5t#S256`, from that or from hex with or without colons."""
    digits = value.replace(":", "")
    if _HEX_THUMBPRINT.fullmatch(digits):
        return base64.urlsafe_b64encode(bytes.fromhex(digits)).rstrip(b"=").decode()
    if _THUMBPRINT.fullmatch(value):
        return value
    raise _named("TLS_PROXY_CERTIFICATES", "is not a list of SHA-256 thumbprints")


def origin(name: str, value: str) -> str:
    """`value` if it is scheme, host and perhaps port, and nothing more."""
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise _named(name, "is not a URL") from None
    shown = f"{parts.scheme}://{parts.netloc}"
    if parts.scheme not in {"http", "https"} or not parts.hostname or value != shown or port == 0:
        raise _named(name, "must be scheme://host or scheme://host:port and nothing more")
    if parts.username is not None:
        raise _named(name, "must not carry a user")
    return value


def _unknown(name: str) -> str:
    known = [field.upper() for field in Settings.model_fields]
    close = difflib.get_close_matches(name.upper(), known, n=1)
    hint = f"; did you mean {PREFIX}{close[0]}?" if close else ""
    return f"{PREFIX}{name}: no such setting{hint}"


def _one_line(error: ValidationError) -> str:
    return "; ".join(_described(problem) for problem in error.errors(include_url=False))


def _described(problem: Any) -> str:
    text = str(problem["msg"]).replace("\n", " ")
    if text.startswith(PREFIX):
        return text
    return f"{PREFIX}{str(problem['loc'][0]).upper()}: {text[0].lower()}{text[1:]}"


def configuration_page() -> str:
    """docs/configuration.md, made of the descriptions above."""
    return "\n".join(
        [
            "# Configuration",
            "",
            "Every setting is an environment variable. An unknown or malformed `WISER_*` variable"
            " stops the start with one line that names it.",
            "",
            "| Variable | Default | Meaning |",
            "| --- | --- | --- |",
            *(_row(name) for name in Settings.model_fields),
            "",
        ]
    )


def _row(name: str) -> str:
    field = Settings.model_fields[name]
    return f"| `{PREFIX}{name.upper()}` | {_shown(field.default)} | {field.description} |"


def _shown(default: object) -> str:
    if default is None or default == ():
        return "unset"
    if isinstance(default, tuple):
        return f"`{','.join(default)}`"
    return f"`{default}`"
