"""`wiser-fhir sandbox certificates`: certificates to try TLS with."""

from pathlib import Path
from typing import Annotated

import typer

from wiser_fhir.auth.certificates import thumbprint_of
from wiser_fhir.clock import utc_now
from wiser_fhir.sandbox.certificates import WANTED, CertificateFolder


def sandbox_certificates(
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("var/certificates"),
    revoke: Annotated[
        str | None, typer.Option(help="Whose certificate to put on the list of those revoked.")
    ] = None,
) -> None:
    """Make an authority and certificates of it to try TLS with, or renew what is about to end;
    print each one's SHA-256 thumbprint.
    """
    if revoke is not None and revoke not in WANTED:
        raise typer.BadParameter(f"one of {', '.join(WANTED)}")
    for name, issued in CertificateFolder(out, utc_now).write(revoke).items():
        print(f"{thumbprint_of(issued.der)}  {out / name}.pem")
