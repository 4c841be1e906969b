"""What the routes of UDAP work with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.audit.recorder import Recorder
from wiser_fhir.auth.udap_chain import Trust
from wiser_fhir.auth.udap_client import UdapClients
from wiser_fhir.auth.udap_communities import Community
from wiser_fhir.auth.udap_metadata import Places, UdapMetadata
from wiser_fhir.auth.udap_registration import UdapRegistration
from wiser_fhir.clock import Clock
from wiser_fhir.errors import NotFound
from wiser_fhir.oauth.endpoints import REGISTER, TOKEN


@dataclass(frozen=True, slots=True)
class Udap:
    """The communities of a deployment, whom they vouch for, and the sandbox's own list, if any."""

    communities: Mapping[str, Community]
    trust: Trust
    crl: Path | None = None


@dataclass(frozen=True, slots=True)
class UdapDoor:
    """Registration, metadata, and the clients that registered."""

    registration: UdapRegistration
    metadata: UdapMetadata
    clients: UdapClients
    recorder: Recorder
    clock: Clock
    crl: Path | None

    @classmethod
    def of(
        cls,
        udap: Udap,
        origin: str,
        engine: AsyncEngine,
        recorder: Recorder,
        clock: Clock,
        denied: Callable[[str], bool],
    ) -> Self:
        """For the server at `origin`. `denied`: whether an operator took back a certificate."""
        places = Places(f"{origin}{TOKEN}", f"{origin}{REGISTER}")
        audiences = frozenset({places.registration, f"{places.registration}/"})
        return cls(
            registration=UdapRegistration(engine, clock, udap.trust, audiences, denied),
            metadata=UdapMetadata(udap.communities, places),
            clients=UdapClients(clock, udap.trust, denied),
            recorder=recorder,
            clock=clock,
            crl=udap.crl,
        )


def door_of(request: Request) -> UdapDoor:
    """The door of the application. Raises NotFound where UDAP is off."""
    door = cast(UdapDoor | None, request.app.state.udap)
    if door is None:
        raise NotFound("door for UDAP")
    return door
