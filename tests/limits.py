"""Bounds on callers that no test reaches without meaning to."""

from wiser_fhir.web.limits import CallerLimits, Limits, MissBudget, StrangerLimits


def wide() -> Limits:
    """Far more than a test asks for; numbers guessed in vain as in production."""
    return Limits(CallerLimits(10_000, 1e6), StrangerLimits(1e6), MissBudget())
