"""Everything an operator can set, read once from the environment. Only `app` and `cli` import it.

Every variable begins `WISER_`. One that is unknown or malformed stops the start with one line that
names it: a misspelt safeguard must not be taken for an absent one.
"""

import base64
import binascii
import difflib
import os
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
from wiser_fhir.egress.url import read_origin

PREFIX = "WISER_"

Mode = Literal["production", "sandbox"]
State = Literal["NJ", "OH", "OK", "TX", "AZ", "WA"]
Listed = NoDecode  # comma-separated in the environment, not JSON

MODEL_STATES: tuple[State, ...] = get_args(State)
_SHORTEST_KEY = 32
SANDBOX_PREFIX = "ZZ"
_FILES = ("tls_cert", "tls_key", "registry", "reject_reasons", "decision_reasons")


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
        description="Name of the proxy in front that ends TLS; nothing it forwards is trusted.",
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
    audit_key: SecretBytes | None = Field(
        None,
        description="Key of the HMAC that stands for a beneficiary in the audit trail: at least 32"
        " bytes in base64. Needed in production; in the sandbox generated once and kept in the"
        " data directory.",
    )
    secrets_key: SecretBytes | None = Field(
        None,
        description="Key that encrypts what subscribers entrust to us (headers, endpoints): at"
        " least 32 bytes in base64, the same for every process. Needed in production; in the"
        " sandbox generated once and kept in the data directory.",
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

    @field_validator("states", "sandbox_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part for part in (each.strip() for each in value.split(",")) if part)

    @field_validator("audit_key", "secrets_key", mode="before")
    @classmethod
    def _decode_key(cls, value: object, about: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        try:
            key = base64.b64decode(value, validate=True)
        except binascii.Error:
            raise _named(str(about.field_name).upper(), "is not base64") from None
        if len(key) < _SHORTEST_KEY:
            raise _named(str(about.field_name).upper(), f"needs at least {_SHORTEST_KEY} bytes")
        return key

    @field_validator("public_url")
    @classmethod
    def _origin_only(cls, value: str | None) -> str | None:
        return None if value is None else origin("PUBLIC_URL", value)

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
    def affirms_by_software(self) -> bool:
        """Whether software may affirm."""
        return self.sandbox if self.auto_affirm is None else self.auto_affirm

    def check_mode(self) -> None:
        """What serving in this mode needs and refuses. Raises SettingsError naming every fault."""
        problems = _pair_problems(self) + _file_problems(self)
        if not self.sandbox:
            problems += _production_problems(self)
        if problems:
            raise SettingsError("; ".join(problems))


def _pair_problems(settings: Settings) -> list[str]:
    if (settings.tls_cert is None) != (settings.tls_key is None):
        return ["WISER_TLS_CERT and WISER_TLS_KEY: set both or neither"]
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
        for name in ("database_url", "utn_source", "public_url", "audit_key", "secrets_key")
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
    return problems


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
