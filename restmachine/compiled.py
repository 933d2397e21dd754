"""Every plan of an application as it stands, and which of them answers a request."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import chain

from restmachine.cors import CORSConfig
from restmachine.dependencies import PARSED_NAMES
from restmachine.errors import UnknownDependencyError
from restmachine.plan import SOURCES, Plan
from restmachine.policies import Held, held_by, stands_above
from restmachine.registry import Policy, Registry
from restmachine.request import KNOWN_METHODS, Request
from restmachine.router import ConfigurationWarning
from restmachine.routing import Node, Route, Table, answered_methods, path_segments


class Compiled:
    """Every plan of an application as it stands; made whole, then only added to.

    Attributes:
        static: The plans of routes without parameters, by path and method.
        search: Finds the plan of a route for a method and any other path, None without one.
    """

    def __init__(self, registry: Registry, routes: list[Route]) -> None:
        self._registry = registry
        self.resources = registry.resources
        self.table: Table[Plan] = Table()
        names_origins = False
        self.static, self.search = self.table.static, self.table.search
        for route in routes:
            policies = registry.policies_at(route.template.segments)
            method = str(route.method)
            if self.table.holds(route.template, method):
                warn(f"A second handler for {route} replaces the first.")
            plan = Plan(registry, method, route, route.path, (method,), policies)
            self.table.add(route.template, method, plan)
            names_origins = names_origins or plan.cors is not None
        self._tell_allowed_methods()
        self._refuse_blind_callbacks()
        self._refuse_lost_policies(routes)
        if names_origins:  # the answer to a preflight depends on all that a path answers
            self.table.put_aside("OPTIONS")
        self._put_asterisk()
        self._unmatched: dict[tuple[int, ...], Plan] = {}
        self._others: dict[tuple[str, str], Plan] = {}
        for prefix, _ in registry.policies:  # now, to find what cannot answer a 404
            self._unmatched_plan(prefix.path)
        alike = len(registry.policies) == 1  # what holds at one path holds at all
        self.table.close((self._unmatched_plan("/"), []) if alike else None)

    def dispatch(self, method: str, path: str) -> tuple[Plan, list[str]]:
        """Return the plan for a method and path, and the values of the path's parameters."""
        return self.table.find(method, path) or self.dispatch_rest(method, path)

    def dispatch_rest(self, method: str, path: str) -> tuple[Plan, list[str]]:
        """Return the plan for what no route declares: HEAD, OPTIONS, 405, 501 and 404.

        So it does for a declared OPTIONS of an application that names origins.
        """
        nodes = self.table.matches(path)
        if not nodes:
            return self._unmatched_plan(path), []
        template = nodes[0].template
        assert template is not None
        if method == "HEAD" and (found := self.table.find("GET", path)) is not None:
            get, values = found
            assert get.route is not None
            return self._other(method, get.route.path, get.route, nodes, get.policies), values
        if (found := self.table.find_aside(method, path)) is not None:
            plan, values = found
            return self._with_preflights(plan, nodes), values
        policies = self._registry.policies_at(template.segments)
        plan = self._other(method, template.path, None, nodes, policies, template.names)
        return plan, self.table.values(path)

    def _with_preflights(self, plan: Plan, nodes: list[Node[Plan]]) -> Plan:
        """Return the plan of a declared OPTIONS as it also answers the preflights of a path."""
        route = plan.route
        preflights = _preflights(nodes, answered_methods(nodes))
        if route is None or route.options.bypass or not any(preflights.values()):
            return plan
        return self._other("OPTIONS", route.path, route, nodes, plan.policies)

    def _tell_allowed_methods(self) -> None:
        """Tell each plan which methods its path answers; many paths answer the same ones."""
        known: dict[tuple[str, ...], tuple[str, ...]] = {}
        for node in self.table.nodes():
            assert node.template is not None
            found = tuple(answered_methods(self.table.matches(node.template.path)))
            allowed = known.setdefault(found, found)
            for plan in node.targets.values():
                plan.allowed = allowed

    def _refuse_blind_callbacks(self) -> None:
        """Find callbacks that ask for what no route has, and so would silently never apply.

        Raises:
            UnknownDependencyError: There is one.
        """
        registry = self._registry
        known = {"request", *SOURCES, *registry.recipes, *PARSED_NAMES}
        known.update(parser.name for parser in registry.parsers.values())
        for node in self.table.nodes():
            assert node.template is not None
            known.update(node.template.names)
        for recipe in (registry.recipes[name] for name in chain(*registry.callbacks.values())):
            for wanted in recipe.parameters:
                if wanted.name in known or wanted.optional or wanted.annotation is Request:
                    continue
                raise UnknownDependencyError(wanted.name, str(recipe), known)

    def _refuse_lost_policies(self, routes: list[Route]) -> None:
        """Find policies that decorate a handler above the route decorator of another router.

        Raises:
            ConfigurationError: There is one.
        """
        decorated = {
            (stated.name, id(handler))
            for _, policy in self._registry.policies
            for stated in policy.level.policies
            for handler in stated.handlers
        }
        for name, handler in decorated:
            for route in routes:
                if id(route.handler) == handler and getattr(route.options, name) is None:
                    raise stands_above(name, route)

    def _put_asterisk(self) -> None:
        """Answer ``OPTIONS *`` with what the application as a whole does (RFC 9110 section 9.3.7).

        Callbacks judge resources, and it is none.
        """
        allowed = answered_methods(self.table.nodes()) or ["OPTIONS"]
        policies = tuple(replace(policy, defaults={}) for policy in self._registry.policies_at(()))
        plan = Plan(self._registry, "OPTIONS", None, "*", allowed, policies)
        self.table.add_asterisk("OPTIONS", plan)

    def _unmatched_plan(self, path: str) -> Plan:
        policies = self._registry.policies_at(path_segments(path))
        key = tuple(id(policy) for policy in policies)
        if key not in self._unmatched:
            self._unmatched[key] = Plan(self._registry, "", None, None, (), policies)
        return self._unmatched[key]

    def _other(
        self,
        method: str,
        template: str,
        route: Route | None,
        nodes: list[Node[Plan]],
        policies: tuple[Policy, ...],
        names: tuple[str, ...] = (),
    ) -> Plan:
        key = (method, " ".join([template, *(str(id(node)) for node in nodes)]))
        plan = self._others.get(key)
        if plan is None:
            allowed = answered_methods(nodes)
            plan = Plan(
                self._registry,
                method,
                route,
                template,
                allowed,
                policies,
                names,
                preflights=_preflights(nodes, allowed) if method == "OPTIONS" else {},
                held=_agreed(nodes) if route is None else None,
            )
            if method in KNOWN_METHODS:  # a client must not fill the memory with its own
                self._others[key] = plan
        return plan

    def warn_of_idle_checks(self) -> None:
        """Warn of `authorized` and `forbidden` functions that protect no route."""
        asked = {
            check.need.name
            for node in self.table.nodes()
            for plan in node.all_targets.values()
            for kind in ("authorized", "forbidden")
            for check in plan.checks.get(kind, ())
        }
        for kind in ("authorized", "forbidden"):
            for name in self._registry.callbacks.get(kind, ()):
                if name not in asked:
                    warn(
                        f'No route reaches the {kind} function "{name}", so it protects '
                        f"nothing. Name it as a parameter, or use @app.default_{kind}."
                    )


def _agreed(nodes: list[Node[Plan]]) -> Held | None:
    """Return what the levels of all routes of a path hold alike; None if they disagree."""
    plans = (plan for node in nodes for plan in node.all_targets.values())
    held = [held_by(plan.route.levels) for plan in plans if plan.route is not None]
    return held[0] if all(other == held[0] for other in held) else None


def _preflights(nodes: list[Node[Plan]], allowed: list[str]) -> dict[str, CORSConfig | None]:
    """Return the routed methods of a path, each with who may send it from another origin."""
    plans: dict[str, Plan] = {}
    for node in nodes:
        plans = node.all_targets | plans
    if "GET" in plans:
        plans.setdefault("HEAD", plans["GET"])
    return {method: plans[method].cors for method in allowed if method in plans}


def warn(text: str) -> None:
    """Tell the developer of something that hardly was meant."""
    warnings.warn(text, ConfigurationWarning, stacklevel=2)
