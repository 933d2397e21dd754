"""The fast ways of a plan for requests of other origins: each has a plan with its own fields.

Only plans with a policy for origins come here, and of these only requests that name one. What a
browser sends is mostly that, so it must not cost what a rare request may.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from restmachine.checked import Checked, head_of_304
from restmachine.cors import ORIGIN
from restmachine.decisions import LONGEST_CACHED
from restmachine.direct import Direct
from restmachine.headers import Pair
from restmachine.policies import ResponsePolicy
from restmachine.writing import write

if TYPE_CHECKING:
    from restmachine.plan import Plan

_MOST_ORIGINS = 64
"""For how many origins a plan is kept where every origin is allowed: a client may send any.

Those that are named all have one, and the others share one.
"""

_NAMED = frozenset({ORIGIN})


class Crossings:
    """The plans by origin that one plan has become."""

    __slots__ = ("_of_nobody", "_of_strangers", "_plan", "_plans", "_policy")

    def __init__(self, plan: Plan, policy: ResponsePolicy) -> None:
        self._plan = plan
        self._policy = policy
        self._plans: dict[bytes, Plan] = {}
        self._of_strangers: Plan | None = None
        self._of_nobody: Plan | None = None  # who names no origin

    def find(self, headers: Iterable[Pair]) -> Plan:
        """Return the plan for a request with these header fields."""
        origin = None
        for name, value in headers:
            if name == ORIGIN:
                if origin is not None:  # together they are none
                    return self._plain()
                origin = value
        if origin is None:
            return self._of_nobody or self._plain()
        return self._plans.get(origin) or self._plan_for(origin)

    def _plan_for(self, origin: bytes) -> Plan:
        """Return the plan for an origin that was not met, or is one of those without a field."""
        if not self._policy.allows(origin):
            if self._of_strangers is None:
                self._of_strangers = self._crossing(b"")
            return self._of_strangers
        if self._policy.allows_all:
            if len(origin) > LONGEST_CACHED:
                return self._plain()
            if len(self._plans) >= _MOST_ORIGINS:
                self._plans.clear()
        plan = self._plans[origin] = self._crossing(origin)
        return plan

    def _plain(self) -> Plan:
        """Return the plan for requests whose origin makes no difference."""
        if self._of_nobody is None:
            plan = self._of_nobody = copy(self._plan)
            plan.crossings = None
            plan.written = None if plan.checked is None else write(plan.checked, plan)
        return self._of_nobody

    def _crossing(self, origin: bytes) -> Plan:
        plan = copy(self._plan)
        plan.crossings = None
        if plan.observed_direct is not None:
            way = self._way(plan.observed_direct.way, origin)
            plan.observed_direct = replace(plan.observed_direct, way=way)
        if plan.hopping is not None:
            plan.hopping = self._way(plan.hopping, origin)
        if plan.checked is not None:
            plan.checked = self._checked(plan.checked, origin)
            plan.written = write(plan.checked, plan)
        return plan

    def _way(self, way: Direct, origin: bytes) -> Direct:
        plain = self._plan.default_rendition.success_head
        head = self._policy.head_of(plain, origin)
        return replace(way, fields=way.fields - _NAMED, head=head)

    def _checked(self, checked: Checked, origin: bytes) -> Checked:
        way = self._way(checked.way, origin)
        fields = checked.fields - _NAMED
        return replace(checked, way=way, fields=fields, head=head_of_304(way.head))


def find_crossings(plan: Plan) -> Crossings | None:
    """Return the plans by origin of a plan whose ways are known; None where it needs none."""
    policy = plan.policy
    ways = (plan.hopping, plan.checked, plan.observed_direct)
    if policy is None or not policy.fields or ways == (None, None, None):
        return None
    return Crossings(plan, policy)
