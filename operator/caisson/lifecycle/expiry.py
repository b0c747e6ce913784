"""When a Sandbox expires, and the warning before that."""

from datetime import datetime, timedelta

from caisson.api.reasons import Reason
from caisson.api.resources import Sandbox
from caisson.api.spec.lifetime import OnExpiry
from caisson.api.status.condition import Condition
from caisson.api.status.sandbox import SandboxStatus
from caisson.config.model import Config
from caisson.lifecycle.termination import TerminationRequest
from caisson.timing import EXPIRY_WARNING_BEFORE, EXPIRY_WARNING_SHARE


def expires_at(sandbox: Sandbox, config: Config) -> datetime | None:
    """Return when a Sandbox expires, or None if it does not expire."""
    lifetime = config.sandboxes.lifetime
    ttl_seconds = sandbox.spec.lifetime.ttl_seconds or lifetime.default_seconds or lifetime.maximum_seconds
    # A lowered maximum applies to existing Sandboxes, too.
    return _after_creation(sandbox, ttl_seconds and min(ttl_seconds, lifetime.maximum_seconds or ttl_seconds))


def latest_end(sandbox: Sandbox, config: Config) -> datetime | None:
    """Return the latest possible expiry, if the spec can't be read. The default could end the Sandbox too early."""
    return _after_creation(sandbox, config.sandboxes.lifetime.maximum_seconds)


def _after_creation(sandbox: Sandbox, seconds: int | None) -> datetime | None:
    created_at = sandbox.metadata.creation_timestamp
    return None if seconds is None or created_at is None else created_at + timedelta(seconds=seconds)


def stored_expiry(status: SandboxStatus) -> Condition | None:
    """Return the condition that records the expiry, if any. Expiry is permanent: a longer lifetime does not undo it."""
    return next((c for c in status.conditions if c.reason == Reason.EXPIRED), None)


def expiry_warning_due(
    sandbox: Sandbox, ends_at: datetime, termination: TerminationRequest | None, now: datetime
) -> tuple[datetime | None, datetime | None]:
    """Return the expiry that the user has been warned about by now, and when the next warning is due."""
    stored_warning = sandbox.status.expiry_announced
    created_at = sandbox.metadata.creation_timestamp
    if stored_warning == ends_at or created_at is None:
        return stored_warning, None
    if termination is not None and sandbox.spec.lifetime.on_expiry is OnExpiry.SUSPEND:
        # A suspended Sandbox needs no warning, because it has nothing to lose.
        return None, None
    due = ends_at - min(EXPIRY_WARNING_BEFORE, (ends_at - created_at) * EXPIRY_WARNING_SHARE)
    return (ends_at, None) if now >= due else (None, due)
