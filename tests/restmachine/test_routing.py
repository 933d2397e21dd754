"""Path templates, and which of them a path finds."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from restmachine import ConfigurationError
from restmachine.routing import Table, Template


def table(*templates: str, method: str = "GET") -> Table[str]:
    """Return a table whose targets are the templates themselves."""
    made: Table[str] = Table()
    for template in templates:
        made.add(Template(template), method, template)
    return made


class TestTemplates:
    @pytest.mark.parametrize(
        ("path", "stated", "names"),
        [
            ("/", "/", ()),
            ("", "/", ()),
            ("x", "/x", ()),
            ("//x//", "/x", ()),
            ("/x/{id}/y/{other_id}", "/x/{id}/y/{other_id}", ("id", "other_id")),
            ("/x/**", "/x/**", ("path",)),
            ("/{id}/*rest", "/{id}/*rest", ("id", "rest")),
        ],
    )
    def test_names_and_path(self, path: str, stated: str, names: tuple[str, ...]) -> None:
        template = Template(path)

        assert (template.path, template.names) == (stated, names)

    @pytest.mark.parametrize(
        ("path", "why"),
        [
            ("/**/x", "must come last"),
            ("/*a/*b", "must come last"),
            ("/x{id}", "whole segment"),
            ("/{id", "whole segment"),
            ("/{}", "whole segment"),
            ("/{1}", "whole segment"),
            ("/{id}/{id}", "twice"),
            ("/{path}/**", "twice"),
        ],
    )
    def test_what_is_no_template_says_why(self, path: str, why: str) -> None:
        with pytest.raises(ConfigurationError, match=why):
            Template(path)


class TestPrecedence:
    @pytest.mark.parametrize(
        ("path", "found", "values"),
        [
            ("/a/b", "/a/b", []),
            ("/a/c", "/a/{x}", ["c"]),
            ("/c/b", "/{x}/b", ["c"]),
            ("/c/d", "/**", ["c/d"]),
            ("/a/b/c", "/a/b/**", ["c"]),
            ("/a/b/c/d", "/a/b/**", ["c/d"]),
            ("/", "/**", [""]),
            ("/a", "/**", ["a"]),
            ("//a///b/", "/a/b", []),
            ("/a/b/", "/a/b", []),
            ("/A/b", "/{x}/b", ["A"]),
        ],
    )
    def test_a_text_beats_a_parameter_beats_a_wildcard(
        self, path: str, found: str, values: list[str]
    ) -> None:
        routes = table("/a/b", "/a/{x}", "/{x}/b", "/**", "/a/b/**")

        assert routes.find("GET", path) == (found, values)

    def test_a_dead_end_is_left_again(self) -> None:
        routes = table("/a/b/c", "/{x}/b/d", "/a/{y}/e")

        assert routes.find("GET", "/a/b/d") == ("/{x}/b/d", ["a"])
        assert routes.find("GET", "/a/b/e") == ("/a/{y}/e", ["b"])
        assert routes.find("GET", "/a/b/f") is None

    def test_a_method_may_be_found_behind_a_better_match(self) -> None:
        routes = table("/users/me")
        routes.add(Template("/users/{id}"), "PUT", "put")

        assert routes.find("PUT", "/users/me") == ("put", ["me"])

    def test_all_matches_come_best_first(self) -> None:
        routes = table("/**", "/{x}", "/a")

        paths = [node.template.path for node in routes.matches("/a") if node.template]

        assert paths == ["/a", "/{x}", "/**"]

    def test_a_later_target_replaces_the_first(self) -> None:
        routes = table("/x")
        routes.add(Template("/x"), "GET", "second")

        assert routes.find("GET", "/x") == ("second", [])


SEGMENTS = st.sampled_from(["a", "b", "{x}", "{y}"])
TEMPLATES = st.tuples(
    st.lists(SEGMENTS, max_size=3, unique=True).map("/".join),
    st.sampled_from(["", "/**"]),
    st.sampled_from(["GET", "PUT"]),
)


@settings(max_examples=500, deadline=None)
@example(templates=[("a", "/**", "GET"), ("{x}", "", "GET")], path="a")
@given(
    templates=st.lists(TEMPLATES, max_size=6),
    path=st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=5).map("/".join),
)
def test_the_quick_way_finds_what_the_thorough_way_finds_first(
    templates: list[tuple[str, str, str]], path: str
) -> None:
    routes: Table[str] = Table()
    for segments, rest, method in templates:
        routes.add(Template(f"/{segments}{rest}"), method, f"/{segments}{rest}")
    routes.close()

    found = routes.find("GET", f"/{path}")

    matches = routes.matches(f"/{path}")
    assert (found and found[0]) == next(
        (node.targets["GET"] for node in matches if "GET" in node.targets), None
    )
    assert found is None or "GET" not in matches[0].targets or found[1] == routes.values(f"/{path}")
