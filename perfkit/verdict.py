"""What a run was worth: void, broken or within budget, and the exit status that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfkit.budgets import Finding
from perfkit.results import Results
from perfkit.samples import Gauges
from perfkit.usage import Usage

WITHIN, ERROR, VOID, BROKEN = 0, 1, 2, 3
KINDS = {WITHIN: "within budget", ERROR: "error", VOID: "void", BROKEN: "budget broken"}

# A process that wants more than this share of its core no longer acts in time.
BUSY = 0.9
# An open-loop request that starts later than this was not sent as the schedule demands.
LATE_S = 0.25


@dataclass(frozen=True, slots=True)
class Verdict:
    """An exit status and its reason, one line."""

    status: int
    reason: str

    @property
    def kind(self) -> str:
        """The exit status in words."""
        return KINDS[self.status]

    @property
    def text(self) -> str:
        """Kind and reason: the last line of a run."""
        return f"{self.kind}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How a run went, apart from its figures.

    *stopped* is why it ended before its time, if it did. *rate* is what an open-loop run
    demanded, per second. *server* has the usage of the server's processes, second by
    second, as shares of the *server_cores* they could use; empty where it is not ours.
    """

    stopped: str | None = None
    rate: float | None = None
    users: int = 1
    server: Sequence[Usage] = ()
    server_cores: int = 1


def conclude(results: Results, findings: Sequence[Finding], run: Circumstances) -> Verdict:
    """Judge a run: whatever makes it void comes before its budgets."""
    if run.stopped is not None:
        return Verdict(VOID, run.stopped)
    if not results.total.requests:
        return Verdict(VOID, "not one request came to an end")
    saturated = saturation(results)
    if saturated is not None:
        return Verdict(VOID, f"client saturated: {saturated}")
    broken = [finding.text for finding in findings if finding.outcome == "broken"]
    late = lateness(results)
    if run.rate is not None and late is not None:
        served = results.total.requests / results.elapsed_s
        if not server_saturated(run):
            return Verdict(
                VOID,
                f"client saturated: {late} with all {run.users} users waiting for answers, so "
                f"{served:.4g}/s instead of {run.rate:.4g}/s; more USERS or a lower RATE",
            )
        broken.insert(
            0, f"the server was saturated and served {served:.4g}/s of {run.rate:.4g}/s demanded"
        )
    if broken:
        return Verdict(BROKEN, "; ".join(broken))
    return Verdict(WITHIN, _kept(findings))


def _kept(findings: Sequence[Finding]) -> str:
    if not findings:
        return "no budget was given"
    met = sum(finding.outcome == "met" for finding in findings)
    rest = len(findings) - met
    return f"{met} of {len(findings)} budgets met" + (f", {rest} not exercised" if rest else "")


def saturation(results: Results) -> str | None:
    """Say which generator could not do more than it did, or None if all had time left."""
    for source, seconds in _gauges(results).items():
        busy = [gauges for gauges in seconds if gauges.cpu + gauges.waiting > BUSY]
        if not _sustained(len(busy), len(seconds)):
            continue
        cpu = sum(gauges.cpu for gauges in busy) / len(busy)
        waiting = sum(gauges.waiting for gauges in busy) / len(busy)
        return (
            f"{source} had no time left in {len(busy)} of {len(seconds)} s: it computed for "
            f"{cpu * 100:.0f} % of a core and waited for one, which others used, for "
            f"{waiting * 100:.0f} %; fewer USERS, a lower RATE, or a quieter machine"
        )
    return None


def lateness(results: Results) -> str | None:
    """Say how late the requests of an open-loop run started, or None if in time."""
    for seconds in _gauges(results).values():
        late = [gauges.lag_s for gauges in seconds if gauges.lag_s > LATE_S]
        if _sustained(len(late), len(seconds)):
            return f"requests started up to {max(late):.2g} s late"
    return None


def server_saturated(run: Circumstances) -> bool:
    """Answer whether the server wanted all of its cores for a sustained part of the run."""
    busy = sum(usage.wanted / run.server_cores > BUSY for usage in run.server)
    return _sustained(busy, len(run.server))


def _gauges(results: Results) -> dict[str, list[Gauges]]:
    seconds = max(1, int(results.elapsed_s))
    return {source: log.full_seconds(seconds) for source, log in results.generators.items()}


def _sustained(count: int, seconds: int) -> bool:
    """Answer whether *count* is a third of all *seconds*, and two at least where possible."""
    return count > 0 and count >= min(seconds, 2) and count * 3 >= seconds
