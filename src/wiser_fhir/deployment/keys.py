"""The keys of a deployment: handed in, or a sandbox's own, made once and kept."""

import json
import os
import secrets
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from pydantic import SecretBytes, SecretStr

from wiser_fhir.audit.chain import Keyring
from wiser_fhir.audit.checkpoints import CheckpointFolder, SigningKeys, new_signing_key
from wiser_fhir.audit.decision_mac import decision_key
from wiser_fhir.db.blind import KEY_BYTES as INDEX_KEY_BYTES
from wiser_fhir.db.blind import BlindIndex
from wiser_fhir.db.envelope import KEY_BYTES, KeyRing
from wiser_fhir.db.vault import Vault
from wiser_fhir.sandbox import ehr
from wiser_fhir.settings import Settings, SettingsError

_SECRET_LISTS = frozenset({"audit_keys_before", "secrets_keys_before"})
_AUDIT_KEY_BYTES = 32


def kept_key(file: Path, new_key: Callable[[], bytes]) -> bytes:
    """The key in a file that is made where missing; of two commands at once one makes it."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        new = file.with_name(f"{file.name}.{os.getpid()}")
        new.touch(mode=0o600)
        new.write_bytes(new_key())
        try:
            file.hardlink_to(new)
        except FileExistsError:
            pass
        finally:
            new.unlink()
    return file.read_bytes()


def audit_key(settings: Settings) -> bytes:
    """The key that stands between the audit trail and a beneficiary's number.

    Raises SettingsError where none was given, but for a sandbox, for the reason `vault` tells.
    """
    if settings.audit_key is not None:
        return settings.audit_key.get_secret_value()
    if not settings.sandbox:
        raise SettingsError("WISER_AUDIT_KEY: production needs it")
    return kept_key(settings.data_dir / "audit.key", lambda: secrets.token_bytes(_AUDIT_KEY_BYTES))


def audit_keys_before(settings: Settings) -> tuple[bytes, ...]:
    """The audit keys of earlier days, newest first."""
    return tuple(each.get_secret_value() for each in settings.audit_keys_before)


def decision_keys(settings: Settings) -> list[bytes]:
    """The keys that determinations may bear a MAC of, the one in use first."""
    return [decision_key(each) for each in (audit_key(settings), *audit_keys_before(settings))]


def chain_keys(settings: Settings) -> Keyring:
    """The keys of the chain over the audit trail."""
    return Keyring.of(audit_key(settings), audit_keys_before(settings))


def checkpoint_keys(settings: Settings) -> SigningKeys | None:
    """The keys of checkpoints, where there are any. Raises SettingsError for a bad file."""
    if settings.audit_signing_key is not None:
        pem = settings.audit_signing_key.read_bytes()
    elif settings.sandbox:
        pem = kept_key(settings.data_dir / "audit-signing.key", new_signing_key)
    else:
        return None
    try:
        return SigningKeys.read(pem.decode())
    except ValueError as fault:
        raise SettingsError(f"WISER_AUDIT_SIGNING_KEY: {fault}") from fault


def checkpoint_folder(settings: Settings) -> CheckpointFolder | None:
    """Where checkpoints are, if anywhere. A sandbox makes the folder."""
    if settings.audit_checkpoints is not None:
        return CheckpointFolder(settings.audit_checkpoints)
    if not settings.sandbox:
        return None
    folder = settings.data_dir / "audit-checkpoints"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return CheckpointFolder(folder)


def vault(settings: Settings) -> Vault | None:
    """What seals and opens what is stored about people; None where no key was given.

    Only a sandbox makes its own key: in production another than that of the servers would be worse
    than none.
    """
    before = [key.get_secret_value() for key in settings.secrets_keys_before]
    if settings.secrets_key is not None:
        return Vault(KeyRing(settings.secrets_key.get_secret_value(), before))
    if not settings.sandbox:
        return None
    file = settings.data_dir / "secrets.key"
    return Vault(KeyRing(kept_key(file, lambda: secrets.token_bytes(KEY_BYTES)), before))


def index(settings: Settings) -> BlindIndex | None:
    """What finds beneficiaries; None where no key was given, for the reason `vault` tells."""
    if settings.index_key is not None:
        return BlindIndex(settings.index_key.get_secret_value())
    if not settings.sandbox:
        return None
    file = settings.data_dir / "index.key"
    return BlindIndex(kept_key(file, lambda: secrets.token_bytes(INDEX_KEY_BYTES)))


def ehr_key(settings: Settings) -> bytes:
    """The private key of the sandbox's EHR, as PEM."""
    return kept_key(settings.data_dir / "sandbox-ehr.key", ehr.new_key)


def people_client_key(settings: Settings) -> bytes:
    """What a sandbox shows its own provider that it is itself."""
    return kept_key(settings.data_dir / "people-client.key", ehr.new_key)


def settings_digest(settings: Settings) -> str:
    """What the settings come to, without what is secret: the same for the same settings.

    The audit key shows by the id that its seals bear, so that a start tells of a change of it.
    """
    told = {
        name: "set" if isinstance(value, (SecretBytes, SecretStr)) else repr(value)
        for name, value in settings
        if name not in _SECRET_LISTS
    }
    told["audit_key"] = chain_keys(settings).current.id
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
