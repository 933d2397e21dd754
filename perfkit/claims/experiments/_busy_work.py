"""An experiment whose answer is known: the same unit of work, repeated more or less often."""

from itertools import repeat

from perfkit.claims import LATENCY, Experiment, Operation

UNITS = 4000

experiment = Experiment(
    question="Is an effect that is known found?",
    hypothesis="After is as many times faster as it repeats its work less often.",
    metric=LATENCY,
    varies={"effect": [1.0, 1.02, 1.05, 1.2, 2.0, 20.0]},
    because="The effect is what is varied.",
    precision=0.02,
    budget_s=40,
)


@experiment.before
def once(effect: float) -> Operation:
    """Repeats the work so many times more."""
    return working(round(UNITS * effect))


@experiment.after
def less(effect: float) -> Operation:
    """Repeats the work four thousand times."""
    del effect
    return working(UNITS)


def working(units: int) -> Operation:
    """Return what repeats one unit of work."""

    def work() -> None:
        for _ in repeat(None, units):
            sum((1, 2, 3, 4, 5, 6, 7, 8))

    return work
