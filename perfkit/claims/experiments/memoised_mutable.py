"""lru_cache hands the same dictionary to every caller, and one of them writes into it."""

from functools import lru_cache
from types import MappingProxyType

from perfkit.claims import ERRORS, Experiment, Operation

CALLERS = 100

experiment = Experiment(
    theme="caches",
    claims=["O-22"],
    question="What happens to a memoised dictionary when a caller adds a field to it?",
    hypothesis="All later callers see what one of them wrote.",
    metric=ERRORS,
    hazard="One caller's change becomes everybody's data: another user's discount, for example.",
    advice="Memoise values that cannot change: a tuple, a frozen dataclass, a MappingProxyType. "
    "A caller that wants to change it makes a copy, and is told so by a TypeError.",
    conditions="A hundred callers after one that writes into its result.",
)


@experiment.before
def shared_dictionary() -> Operation:
    """Memoises a dictionary; a caller writes into its result."""

    def wrong_answers() -> int:
        @lru_cache(maxsize=1000)
        def product(number: int) -> dict[str, int]:
            return {"id": number, "price": 100}

        product(1)["price"] -= 10
        return sum(product(1)["price"] != 100 for _ in range(CALLERS))

    return wrong_answers


@experiment.after
def read_only_view() -> Operation:
    """Memoises a read-only view; the caller that writes works on a copy."""

    def wrong_answers() -> int:
        @lru_cache(maxsize=1000)
        def product(number: int) -> MappingProxyType[str, int]:
            return MappingProxyType({"id": number, "price": 100})

        mine = dict(product(1))
        mine["price"] -= 10
        return sum(product(1)["price"] != 100 for _ in range(CALLERS))

    return wrong_answers
