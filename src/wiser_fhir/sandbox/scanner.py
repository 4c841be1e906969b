"""The sandbox's scanner: it knows one thing that every scanner knows, the harmless test file."""

from wiser_fhir.egress.scanner import Verdict

# In two parts, so that no scanner takes this module for what it looks for.
_TEST_FILE = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
_NAME = "Eicar-Test-Signature"


class SandboxScanner:
    """Clears everything but what holds the EICAR test string."""

    async def scan(self, content: bytes) -> Verdict:
        """The verdict; it is never away."""
        return Verdict("sandbox", _NAME if _TEST_FILE in content else None)
