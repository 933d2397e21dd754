"""Path templates, routes, and finding the route for a method and a path.

At each segment a static text beats a ``{parameter}``, which beats a wildcard; when the
deeper match has no route for the method, the next best is tried. Empty segments are
dropped, so ``/x``, ``/x/`` and ``//x`` are one path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from restmachine.cors import CORSConfig
from restmachine.csp import CSPConfig
from restmachine.errors import ConfigurationError
from restmachine.policies import Level
from restmachine.recipes import Recipe
from restmachine.settings import CacheSettings

Target = TypeVar("Target")

_NO_TARGETS: Mapping[str, Any] = MappingProxyType({})
_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def path_segments(path: str) -> list[str]:
    """Return the segments of a path without the empty ones."""
    return [segment for segment in path.split("/") if segment]


class Template:
    """A path template, taken apart.

    Segments are texts, None for a parameter; `wildcard` tells whether the last name
    takes the rest of the path. `names` are the parameters in order.

    Raises:
        ConfigurationError: A brace is left open, a name is used twice, or a wildcard is
            not the last segment.
    """

    __slots__ = ("names", "path", "segments", "wildcard")

    def __init__(self, path: str) -> None:
        self.path = "/" + "/".join(path_segments(path))
        self.segments: list[str | None] = []
        self.wildcard = False
        names = []
        for segment in path_segments(path):
            if self.wildcard:
                raise ConfigurationError(f'In the path "{path}" the wildcard must come last.')
            if segment.startswith("*"):
                self.wildcard = True
                names.append("path" if segment == "**" else segment[1:])
            elif match := _PARAMETER.fullmatch(segment):
                self.segments.append(None)
                names.append(match[1])
            elif "{" in segment or "}" in segment:
                raise ConfigurationError(
                    f'In the path "{path}" the segment "{segment}" is neither a text nor a '
                    "{name}: a parameter is a whole segment."
                )
            else:
                self.segments.append(segment)
        self.names = tuple(names)
        if len(set(names)) < len(names):
            raise ConfigurationError(f'The path "{path}" uses a parameter name twice.')

    @property
    def shape(self) -> tuple[tuple[str | None, ...], bool]:
        """What tells templates apart that match different paths; names do not."""
        return tuple(self.segments), self.wildcard

    @property
    def depth(self) -> tuple[int, list[bool]]:
        """What sorts templates that cover one path: the outer ones, and those of parameters, first.

        As for routes, a text goes before a parameter.
        """
        return len(self.segments), [segment is not None for segment in self.segments]

    def covers(self, segments: Sequence[str | None]) -> bool:
        """Return whether a path or template, given its segments, lies at or below this one."""
        return len(self.segments) <= len(segments) and all(
            mine is None or mine == theirs
            for mine, theirs in zip(self.segments, segments, strict=False)
        )


@dataclass(slots=True)
class RouteOptions:
    """What a route says about itself beyond its method, path and handler.

    Attributes:
        bypass: No decision is asked; the handler answers alone.
        blocking: Whether its sync functions may block; None leaves it to the application.
        creates: A PUT to an absent resource makes it.
        max_content: The longest content in bytes; None leaves it to the application.
        negotiates: Accept is looked at; otherwise the answer is always JSON.
        authorizes: The decisions B8 and B7 are asked.
        cache_control: The Cache-Control of successful answers, without `private`.
        cache_public: The answer may be shared even where authorization protects the route.
        cache_settings: How the server stores its answers, None if it does not.
        languages, charsets, encodings: What the handler offers to choose from.
        cors, csp: Its own response policies; None leaves them to its levels.
    """

    bypass: bool = False
    blocking: bool | None = None
    creates: bool = False
    max_content: int | None = None
    negotiates: bool = True
    authorizes: bool = True
    cache_control: str | None = None
    cache_public: bool = False
    cache_settings: CacheSettings | None = None
    languages: tuple[str, ...] = ()
    charsets: tuple[str, ...] = ()
    encodings: tuple[str, ...] = ()
    cors: CORSConfig | None = None
    csp: CSPConfig | None = None


@dataclass(slots=True, frozen=True)
class Provided:
    """A renderer that belongs to a route, as it was declared."""

    recipe: Recipe
    media_type: str
    charset: str | None

    @property
    def content_type(self) -> str:
        """The Content-Type field of what it renders."""
        return f"{self.media_type}; charset={self.charset}" if self.charset else self.media_type


@dataclass(slots=True)
class Route:
    """A handler for one method and one path template.

    Attributes:
        method: A member of `HTTPMethod`, or the name of a method that has none.
        declared_path: The path template as it was written.
        renderers: What the route itself provides.
        levels: Of the routers on which it stands, the outer ones first; empty as declared.
    """

    method: str
    template: Template
    handler: Callable[..., Any]
    options: RouteOptions = field(default_factory=RouteOptions)
    declared_path: str = "/"
    renderers: list[Provided] = field(default_factory=list)
    levels: tuple[Level, ...] = ()

    @property
    def path(self) -> str:
        """The path template as declared, without empty segments."""
        return self.template.path

    def placed(self, prefix: str, levels: tuple[Level, ...]) -> Route:
        """Return the route as it stands below a prefix, with the levels there."""
        template = Template(prefix + self.template.path) if prefix else self.template
        return replace(self, template=template, levels=levels)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Node(Generic[Target]):
    """A place in the tree of templates, with what is found there for each method.

    Attributes:
        is_only_way: Whether a path that comes here can match no template but those below.
        aside: More targets, which `Table.find` passes by.
    """

    __slots__ = ("aside", "is_only_way", "parameter", "static", "targets", "template", "wildcard")

    def __init__(self) -> None:
        self.static: dict[str, Node[Target]] = {}
        self.parameter: Node[Target] | None = None
        self.wildcard: Node[Target] | None = None
        self.targets: dict[str, Target] = {}
        self.template: Template | None = None
        self.is_only_way = False
        self.aside: Mapping[str, Target] = _NO_TARGETS

    @property
    def all_targets(self) -> dict[str, Target]:
        """What is found here for each method, those aside among them."""
        return {**self.targets, **self.aside}


def answered_methods(nodes: Iterable[Node[Any]]) -> list[str]:
    """Return the methods that the places which match a path answer, by name."""
    methods = {method for node in nodes for method in node.all_targets}
    if methods:
        methods.add("OPTIONS")
    if "GET" in methods:
        methods.add("HEAD")
    return sorted(methods)


class Table(Generic[Target]):
    """Finds the target for a method and a path; its cost does not grow with the routes.

    Attributes:
        static: The targets of templates without parameters, by path and then by method.
    """

    def __init__(self) -> None:
        self._root: Node[Target] = Node()
        self._above: Node[Target] = Node()  # before the slash that a path begins with
        self._above.static[""] = self._root
        self.static: dict[str, dict[str, Target]] = {}
        # Of templates with a parameter alone and last, by what stands before it.
        self._last: dict[str, dict[str, Target]] = {}
        self._nothing: tuple[Target, list[str]] | None = None
        self._deepest = inf  # how many segments a path may have that matches any template

    def add(self, template: Template, method: str, target: Target) -> None:
        """Put a target at a template, replacing the one that was there for the method."""
        node = self._node(template)
        if not template.names:
            self.static[template.path] = node.targets
        node.template = node.template or template
        node.targets[method] = target

    def add_asterisk(self, method: str, target: Target) -> None:
        """Put a target at ``*``, which names no resource and is below no template."""
        self.static.setdefault("*", {})[method] = target

    def put_aside(self, method: str) -> None:
        """Let `find` pass by the targets for a method, which `find_aside` then finds."""
        for node in self.nodes():
            if method in node.targets:
                node.aside = {**node.aside, method: node.targets.pop(method)}

    def find_aside(self, method: str, path: str) -> tuple[Target, list[str]] | None:
        """Return a target that was put aside, and the values of its parameters."""
        for node, values in self._matches(self._root, path_segments(path), 0, []):
            if method in node.aside:
                return node.aside[method], values
        return None

    def holds(self, template: Template, method: str) -> bool:
        """Return whether a target for the method is at this very place already."""
        return method in self._node(template).targets

    def _node(self, template: Template) -> Node[Target]:
        node = self._root
        for segment in template.segments:
            if segment is None:
                node.parameter = node.parameter or Node()
                node = node.parameter
            else:
                node = node.static.setdefault(segment, Node())
        if template.wildcard:
            node.wildcard = node.wildcard or Node()
            node = node.wildcard
        return node

    def nodes(self) -> Iterator[Node[Target]]:
        """Yield every place that has a target."""
        waiting = [self._root]
        while waiting:
            node = waiting.pop()
            if node.targets or node.aside:
                yield node
            waiting.extend(node.static.values())
            waiting.extend(n for n in (node.parameter, node.wildcard) if n is not None)

    def close(self, nothing: tuple[Target, list[str]] | None = None) -> None:
        """Say that nothing more is added, which lets `find` know where a search is over.

        Args:
            nothing: What is found for a path that matches no template at all, if it is
                the same for each; `find` may still return None for one.
        """
        self._nothing = nothing
        templates = [node.template for node in self.nodes() if node.template is not None]
        if not any(template.wildcard for template in templates):
            self._deepest = max((len(template.segments) for template in templates), default=0)
        waiting: list[tuple[Node[Target], bool, str | None]] = [(self._root, True, "")]
        while waiting:
            node, is_only, path = waiting.pop()
            node.is_only_way = is_only and node.wildcard is None
            below = node.is_only_way and node.parameter is None
            for text, deeper in node.static.items():
                waiting.append((deeper, below, None if path is None else f"{path}/{text}"))
            if node.parameter is not None:  # a text that fits goes before it
                waiting.append((node.parameter, node.is_only_way, None))
                # So does one that has a wildcard, which may stand for nothing.
                if path is not None and not any(text.wildcard for text in node.static.values()):
                    self._last[path] = node.parameter.targets

    def find(self, method: str, path: str) -> tuple[Target, list[str]] | None:
        """Return the target and the values of its parameters, None when there is none."""
        # Hot path: a path without parameters is one look-up
        # (bench_routing.py::bench_static_among_200).
        targets = self.static.get(path)
        if targets is not None and method in targets:
            return targets[method], []
        return self.search(method, path)

    def search(self, method: str, path: str) -> tuple[Target, list[str]] | None:
        """Return what `find` does for a path that is not in `static`."""
        # Hot path: most parameters stand alone and last, and there no text fits, or `static` had
        # it (bench_routing.py::bench_parameter_among_10).
        before, _, value = path.rpartition("/")
        targets = self._last.get(before)
        if targets is not None and method in targets and value:
            return targets[method], [value]
        # Nor need a path be searched that is deeper than any template
        # (bench_routing.py::bench_deep_unknown_path).
        if path.count("/") > self._deepest and value and "//" not in path:
            return self._nothing
        values: list[str] = []
        node = self._above
        for segment in path.split("/"):
            deeper = node.static.get(segment)
            if deeper is None:
                deeper = node.parameter
                if deeper is None or not segment:
                    # Hot path: most paths without a route need no search
                    # (bench_routing.py::bench_unknown_path). It drops empty segments.
                    if node.is_only_way and segment:
                        return self._nothing
                    break
                values.append(segment)
            node = deeper
        else:
            if method in node.targets:
                return node.targets[method], values
        for node, found in self._matches(self._root, path_segments(path), 0, []):
            if method in node.targets:
                return node.targets[method], found
        return None

    def matches(self, path: str) -> list[Node[Target]]:
        """Return every place whose template matches the path, best first."""
        return [node for node, _ in self._matches(self._root, path_segments(path), 0, [])]

    def values(self, path: str) -> list[str]:
        """Return the parameters' values in the template that matches the path best."""
        found = self._matches(self._root, path_segments(path), 0, [])
        return next((values for _, values in found), [])

    def _matches(
        self, node: Node[Target], segments: list[str], index: int, values: list[str]
    ) -> Iterator[tuple[Node[Target], list[str]]]:
        if index == len(segments):
            if node.targets or node.aside:
                yield node, values
        else:
            segment = segments[index]
            if segment in node.static:
                yield from self._matches(node.static[segment], segments, index + 1, values)
            if node.parameter is not None:
                yield from self._matches(node.parameter, segments, index + 1, [*values, segment])
        if node.wildcard is not None:
            yield node.wildcard, [*values, "/".join(segments[index:])]
