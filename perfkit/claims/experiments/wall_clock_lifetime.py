"""A lifetime by the wall clock, which may be set, or by a clock that only goes forward."""

import datetime as dt

from perfkit.claims import ERRORS, Experiment, Operation

LIFETIME_S = 300.0
STEP_S = 60.0
READS = 60

experiment = Experiment(
    theme="caches",
    claims=["O-23"],
    question="How often is an expired value given out after the clock was set back?",
    hypothesis="A value expires five minutes after it was stored, by datetime.now().",
    metric=ERRORS,
    hazard="Where the wall clock is set back by an hour, at the end of summer time for one, or "
    "when a virtual machine is corrected, what was cached lives an hour longer.",
    advice="Measure lifetimes with time.monotonic(). Wall clocks are for dates.",
    conditions="A simulated hour: one value of five minutes is read once a minute after the wall "
    "clock was set back by an hour. What is counted are the reads that get it though it expired.",
)


class Hour:
    """Both clocks of a machine, as seconds pass."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        self._set_back = dt.timedelta()

    def set_back(self, by: dt.timedelta) -> None:
        """Set the wall clock back."""
        self._set_back += by

    def monotonic(self) -> float:
        """Return seconds that nobody can set."""
        return self.passed_s

    def wall(self) -> float:
        """Return what datetime.now() says, as seconds."""
        start = dt.datetime(2025, 10, 26, 2, 30, tzinfo=dt.UTC)
        return (start + dt.timedelta(seconds=self.passed_s) - self._set_back).timestamp()


@experiment.before
def by_the_wall_clock() -> Operation:
    """Compares datetime.now() with when the value was stored."""
    return lambda: expired_reads(monotonic=False)


@experiment.after
def by_the_monotonic_clock() -> Operation:
    """Compares time.monotonic() with when the value was stored."""
    return lambda: expired_reads(monotonic=True)


def expired_reads(*, monotonic: bool) -> int:
    """Store a value, set the clock back, and return how many later reads still get it."""
    hour = Hour()
    now = hour.monotonic if monotonic else hour.wall
    stored_at = now()
    hour.set_back(dt.timedelta(hours=1))
    expired = 0
    for _ in range(READS):
        hour.passed_s += STEP_S
        given_out = now() - stored_at < LIFETIME_S
        expired += given_out and hour.passed_s >= LIFETIME_S
    return expired
