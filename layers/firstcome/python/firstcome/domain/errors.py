"""What can go wrong. Refusals (sold out, not open) are values, not errors: see `model`."""


class FirstcomeError(Exception):
    """Root of every error Firstcome raises itself."""


class SettingsError(FirstcomeError):
    """An environment variable is missing or out of range; the message names it and the rule."""


class GateUnavailableError(FirstcomeError):
    """Redis did not answer, or answered too late: whether the call took effect is not known."""


class GateLostError(GateUnavailableError):
    """The campaign is known but its gate is gone or suspect: admitting could give a seat twice."""


class GateLoginError(GateUnavailableError):
    """Redis refused the user or the password."""


class GateMisconfiguredError(GateUnavailableError):
    """Redis is set up so that it may forget claims."""


class LoginUnavailableError(FirstcomeError):
    """AWS did not give the login of Redis or MySQL, so nothing was sent to either."""


class QueueUnavailableError(FirstcomeError):
    """SQS did not confirm a message: it may or may not be in the queue."""


class LedgerUnavailableError(FirstcomeError):
    """MySQL did not confirm a transaction: it may or may not have been committed."""


class CampaignLockedError(LedgerUnavailableError):
    """Another change of the campaign is under way; nothing was done."""


class LedgerSchemaError(FirstcomeError):
    """The database has a table of the same name that is not Firstcome's; the message names it."""


class UnreadableMessageError(FirstcomeError):
    """A queue message is not a claim, and never will be.

    Args:
        reason: stable snake_case word for the dead-letter queue, such as `not_json` or `invalid_sequence`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
