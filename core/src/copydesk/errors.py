"""Everything that can go wrong, in one tree. The family says what to do; the message says what, where, and what next.

| family | what the engine does |
|---|---|
| `NotReady` | backs off and tries again |
| `AuthFailed`, `VenueClosed` | stops trying and asks a person |
| `RateLimited` | slows down, then repeats with the same client id |
| `Refused` | never repeats |
| `OutcomeUnknown` | looks the order up by its client id |
| `UsageError` | nothing: a person's input was wrong; exit status 2 |
"""

from __future__ import annotations

from copydesk.model import RejectReason


class CopydeskError(Exception):
    """Base of all. `str(error)` is a sentence for people."""


# --- a person's input ---------------------------------------------------------------------------------------


class UsageError(CopydeskError):
    """Bad input from a person: says what was wrong, where, and what to do. Nothing was changed."""


class ConfigError(UsageError):
    """A configuration file that cannot be used; names the file and the place in it."""


class UnknownKind(UsageError):
    """No installed plugin offers this connection kind."""


class UnknownName(UsageError):
    """A bot, an account or an instrument was named that does not exist."""


class Conflict(UsageError):
    """What was asked does not go with what is there: a name already taken, a bot that works while it is to be changed."""


class NotAllowed(UsageError):
    """What was asked is not allowed here: a ticket order on a connection that is not a rehearsal."""


class EventsGone(UsageError):
    """Events were asked for that are older than what is kept. Take a new view and go on from its `seq`."""


class PluginError(CopydeskError):
    """An installed plugin cannot be used: wrong API number, missing hook, hook that no spec knows."""


# --- the venue ----------------------------------------------------------------------------------------------


class VenueError(CopydeskError):
    """Base of what a plugin's hook may raise. Anything else that escapes a hook is treated as a defect of the plugin."""


class NotReady(VenueError):
    """The venue cannot be reached or is not serving now. Back off and try again."""


class AuthFailed(VenueError):
    """The venue refused the login or the key's permissions. A person has to act."""


class VenueClosed(VenueError):
    """The venue no longer exists; only its rehearsal can be reached."""


class RateLimited(VenueError):
    """Too fast. `retry_after_ms` says when to try again, zero where the venue does not say."""

    def __init__(self, message: str, *, retry_after_ms: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms
        self.code = code


class Refused(VenueError):
    """The venue said no, and nothing happened. Repeating gives the same answer."""

    def __init__(self, message: str, *, reason: RejectReason = RejectReason.OTHER, code: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.code = code


class OutcomeUnknown(VenueError):
    """Sent, and nobody knows what became of it. Look it up."""


# --- this machine -------------------------------------------------------------------------------------------


class JournalError(CopydeskError):
    """The journal cannot be opened, written or trusted."""


class JournalBroken(JournalError):
    """The hash chain does not hold: a row was changed, removed or inserted. `seq` is the first bad row."""

    def __init__(self, message: str, *, seq: int) -> None:
        super().__init__(message)
        self.seq = seq


class DataFolderInUse(UsageError):
    """Another copydesk works on this data folder."""


class AccountInUse(Conflict):
    """Another copydesk drives this account."""


class SecretsError(UsageError):
    """A key or passphrase is missing or does not open the sealed file."""
