"""Everything an operator can set, read once from the environment. Only the top layers import it.

Every variable begins `WISER_`. One that is unknown or malformed stops the start with one line that
names it: a misspelt safeguard must not be taken for an absent one.
"""

import difflib
import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from wiser_fhir.setting_types import (
    CommaSeparated,
    IssuerUrl,
    Key,
    Keys,
    Origin,
    Origins,
    PostgresUrl,
    Scanner,
    Thumbprints,
    Urls,
)

PREFIX = "WISER_"

Mode = Literal["production", "sandbox"]
State = Literal["NJ", "OH", "OK", "TX", "AZ", "WA"]

MODEL_STATES: tuple[State, ...] = get_args(State)
SANDBOX_PREFIX = "ZZ"


class SettingsError(Exception):
    """The environment cannot be started with. The text is one line and names the variable."""


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
    database_url: PostgresUrl | None = Field(
        None,
        description="Postgres (15 or later) as the application role,"
        " `postgresql://wiser_app:...@host/name`. Needed in production; unset in the sandbox:"
        " an embedded server in the data directory.",
    )
    database_owner_url: PostgresUrl | None = Field(
        None,
        description="The same database as the owner role. `migrate` needs it, and so do the"
        " commands `audit` (but for `status`), `cds-client`, `certificate`, `client`, `exemption`,"
        " `form-errors`, `hook-call`, `keys`, `metrics`, `notify-host`, `organization`, `person`,"
        " `sandbox reset`, `udap` and `utn`. A worker uses it to clean up and to verify the audit"
        " trail daily, a server only in the sandbox.",
    )
    database_pool: int = Field(10, ge=1, le=200, description="Database connections per process.")
    data_dir: Path = Field(
        Path("var"),
        description="Where the sandbox keeps its database and its generated keys.",
    )
    public_url: Origin | None = Field(
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
    tls_proxy_certificates: Thumbprints = Field(
        (),
        description="SHA-256 thumbprints, as hex or `x5t#S256`, of the certificates with which"
        " proxies call: only they are believed when they name a client's, in `X-Client-Cert`.",
    )
    mtls_url: Origin | None = Field(
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
    auth_issuer: IssuerUrl | None = Field(
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
    auth_introspection_url: IssuerUrl | None = Field(
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
    states: CommaSeparated[State] = Field(
        MODEL_STATES, min_length=1, description="States this participant serves, comma-separated."
    )
    sandbox_hosts: Origins = Field(
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
    people_acr: CommaSeparated[str] = Field(
        (),
        description="Ways to authenticate (`acr`), comma-separated, of which each sign-in is one."
        " Unset: the provider's own choice.",
    )
    audit_key: Key | None = Field(
        None,
        description="Key of the HMAC that stands for a beneficiary in the audit trail: at least 32"
        " bytes in base64. Needed in production; in the sandbox generated once and kept in the"
        " data directory.",
    )
    audit_keys_before: Keys = Field(
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
    secrets_key: Key | None = Field(
        None,
        description="Key that wraps the keys by which what is stored about people is encrypted: at"
        " least 32 bytes in base64, the same for every process. Needed in production; in the"
        " sandbox generated once and kept in the data directory.",
    )
    secrets_keys_before: Keys = Field(
        (),
        description="Other such keys that still open what they wrapped, comma-separated: those"
        " before, and while the key is changed the next one.",
    )
    index_key: Key | None = Field(
        None,
        description="Key of the index by which a beneficiary's records are found without their"
        " number: at least 32 bytes in base64, the same for every process. Needed in production;"
        " in the sandbox generated once and kept in the data directory. It is changed only with"
        " `wiser-fhir keys reindex`, while nothing is served.",
    )
    scanner: Scanner | None = Field(
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
    udap_anchors: CommaSeparated[str] = Field(
        (),
        description="Trust communities of UDAP, comma-separated: for each `<its URI>=<path>`, the"
        " path of a PEM file of its anchors or of a folder of such files; without `<its URI>=` for"
        " one that goes by none. Unset: nobody registers by UDAP; the sandbox has a community of"
        " its own beside.",
    )
    udap_certificate: CommaSeparated[str] = Field(
        (),
        description="This server's own certificate chain (PEM, leaf first, which names both base"
        " URLs as URIs) in a community, as `<URI>=<path>`; without `<URI>=` in each that has none"
        " of its own. With it UDAP metadata is signed; without it there is none.",
    )
    udap_key: CommaSeparated[str] = Field(
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
    udap_crl_urls: Urls = Field(
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
        description="Open connections per process; beyond it one that waits for a request is cut,"
        " or the answer is 503.",
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
            problems = error.errors(include_url=False)
            raise SettingsError("; ".join(map(_described, problems))) from None

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


def _unknown(name: str) -> str:
    known = [field.upper() for field in Settings.model_fields]
    close = difflib.get_close_matches(name.upper(), known, n=1)
    hint = f"; did you mean {PREFIX}{close[0]}?" if close else ""
    return f"{PREFIX}{name}: no such setting{hint}"


def _described(problem: Any) -> str:
    text = str(problem["msg"]).replace("\n", " ")
    if problem["type"] != "setting":  # pydantic's own: a sentence
        text = f"{text[0].lower()}{text[1:]}"
    return f"{PREFIX}{str(problem['loc'][0]).upper()}: {text}"
