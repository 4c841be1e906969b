"""What can go wrong, as one tree. Each class carries a FHIR issue code and no HTTP status.

WiserError
├── Malformed            structure      unreadable: not JSON, too deep, a key twice
├── InvalidResource      invalid        breaks base FHIR R4
├── ProfileViolation     business-rule  valid R4 that breaks a profile or a rule of the operation
├── TooLarge             too-long
├── Unauthenticated      login
│   └── SignInTooOld     login          the person has to sign in again for this
├── Forbidden            forbidden
│   └── OutOfScope       forbidden      the token is for other things
├── NotFound             not-found      absent or another organization's: the two look the same
├── Conflict             conflict
├── NotSupported         not-supported
├── Throttled            throttled      too much at once from one caller; worth sending again later
└── Unavailable          transient      the database is away; worth sending again
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

Severity = Literal["error", "warning", "information"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a request, ready to become an OperationOutcome.issue.

    `text` says in our words what was expected and what was found, and never repeats data about a
    person. `expression` is a FHIRPath such as `Bundle.entry[0].resource.item[0].sequence`.
    """

    severity: Severity
    code: str
    text: str
    expression: str | None = None


class WiserError(Exception):
    """Base of every refusal. `problems` lists all that is wrong, not the first."""

    issue_code: ClassVar[str] = "exception"

    def __init__(self, text: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(text)
        self.problems = tuple(problems) or (Problem("error", self.issue_code, text),)


class Malformed(WiserError):
    """The body cannot be read."""

    issue_code = "structure"


class InvalidResource(WiserError):
    """The resource breaks base FHIR R4."""

    issue_code = "invalid"


class ProfileViolation(WiserError):
    """Valid R4 that breaks a profile of the guide or a rule of the operation."""

    issue_code = "business-rule"


class TooLarge(WiserError):
    """The body exceeds a limit."""

    issue_code = "too-long"


class Unauthenticated(WiserError):
    """No token, or not a live one. `challenge` tells what is needed."""

    issue_code = "login"
    challenge = "Bearer"


class SignInTooOld(Unauthenticated):
    """Known, but not shown lately enough. `max_age` is how old a sign-in may be, in seconds.

    Source: RFC 9470, 3.
    """

    def __init__(self, text: str, max_age: int) -> None:
        super().__init__(text)
        self.challenge = (
            f'Bearer error="insufficient_user_authentication", error_description="{text}",'
            f' max_age="{max_age}"'
        )


class Forbidden(WiserError):
    """The caller is known and may not do this."""

    issue_code = "forbidden"


class OutOfScope(Forbidden):
    """The caller's token is not for this. Source: RFC 6750, 3.1."""

    def __init__(self, needed: str) -> None:
        super().__init__(f"The token's scopes do not cover {needed}.")
        self.challenge = f'Bearer error="insufficient_scope", scope="{needed}"'


class NotFound(WiserError):
    """Absent, or another organization's."""

    issue_code = "not-found"

    def __init__(self, kind: str) -> None:
        super().__init__(f"No such {kind}.")


class Conflict(WiserError):
    """The request contradicts what is stored."""

    issue_code = "conflict"


class NotSupported(WiserError):
    """Understood, and not offered."""

    issue_code = "not-supported"


class Throttled(WiserError):
    """Too much from one caller.

    `retry_after` is when to come again, in whole seconds; `guessing` that it asked for too many
    things that there are not.
    """

    issue_code = "throttled"

    def __init__(self, text: str, retry_after: int = 1, *, guessing: bool = False) -> None:
        super().__init__(text)
        self.retry_after = retry_after
        self.guessing = guessing


class Unavailable(WiserError):
    """Something we need is away for a moment."""

    issue_code = "transient"
