"""Why another server's answer could not be had."""

from typing import Literal

Reason = Literal["refused", "away", "slow", "status", "too-large", "not-json"]


class EgressError(Exception):
    """There is no answer, and why; `status` is that of one other than 200, to a notice than 2xx.

    refused: this server may not call there. away: no connection, or one that broke off. slow: not
    whole in time. not-json: another content type, an encoding, or no sound JSON object. The text
    says no more than this: a URL may name a patient.
    """

    def __init__(self, reason: Reason, status: int | None = None) -> None:
        super().__init__(reason if status is None else f"{reason} {status}")
        self.reason = reason
        self.status = status
