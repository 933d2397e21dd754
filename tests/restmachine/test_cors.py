"""What a policy for other origins says, and what it refuses to be."""

from __future__ import annotations

from typing import Any

import pytest

from restmachine import ConfigurationError, CORSConfig, RestApplication, Router


@pytest.mark.parametrize("origins", ["https://a.example", ["https://b.example"], ("null",), "*"])
def test_origins_are_one_or_several(origins: Any) -> None:
    config = CORSConfig(origins)

    assert isinstance(config.origins, tuple)
    assert len(config.origins) == 1


def test_what_is_not_given_has_the_usual_values() -> None:
    config = CORSConfig("*")

    assert config.allow_headers == (
        "Accept",
        "Accept-Language",
        "Content-Type",
        "Content-Language",
        "Authorization",
        "X-Requested-With",
    )
    assert config.expose_headers == (
        "Content-Length",
        "Content-Type",
        "ETag",
        "Location",
        "X-Request-ID",
    )
    assert (config.methods, config.credentials, config.max_age) == (None, False, 86400)


@pytest.mark.parametrize(
    ("origins", "origin", "matches"),
    [
        ("https://a.example", "https://a.example", True),
        ("https://A.Example", "https://a.example", True),
        ("https://a.example", "http://a.example", False),
        ("https://a.example", "https://a.example:8443", False),
        ("https://a.example", "https://a.example.evil", False),
        ("https://a.example", "https://b.a.example", False),
        ("https://a.example", "null", False),
        ("null", "null", True),
        (["http://localhost:3000", "http://[::1]:3000"], "http://[::1]:3000", True),
        ("*", "https://any.example", True),
        ("*", "moz-extension://6a4f", True),
        ("*", "null", True),
        ("*", "", False),
        ("*", "any", False),
        ("*", "https://a.example, https://b.example", False),
        ("*", "https://a.example/path", False),
        ("*", "https://a.example\r\nX: 1", False),
    ],
)
def test_an_origin_matches_as_a_whole(origins: Any, origin: str, matches: bool) -> None:
    assert CORSConfig(origins).matches_origin(origin) is matches


def test_methods_are_those_given_or_those_of_the_path() -> None:
    router = Router()
    router.get("/x")(lambda: None)
    router.put("/x")(lambda: None)

    given = CORSConfig("*", methods=["get", "PURGE", "GET"]).get_allowed_methods("/x", router)
    routed = CORSConfig("*").get_allowed_methods("/x", router)

    assert given == ["GET", "PURGE"]
    assert routed == ["GET", "HEAD", "OPTIONS", "PUT"]


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({}, "say which origins"),
        ({"origins": []}, "say which origins"),
        ({"origins": None}, "say which origins"),
        ({"origins": [1]}, "say which origins"),
        ({"origins": "app.example"}, "an origin is a scheme, a host"),
        ({"origins": "https://ä.example"}, "an origin is a scheme, a host"),
        ({"origins": "https://a.example\r\nX: 1"}, "an origin is a scheme, a host"),
        ({"origins": "https://a.example/"}, 'say "https://a.example"'),
        ({"origins": "https://A.example/x"}, 'say "https://A.example"'),
        ({"origins": "https://a.example:443"}, 'say "https://a.example"'),
        ({"origins": "http://a.example:80"}, 'say "http://a.example"'),
        ({"origins": "https://a.example:0"}, "a port is 1 to 65535"),
        ({"origins": "https://a.example:08080"}, "a port is 1 to 65535"),
        ({"origins": "https://a.example:65536"}, "a port is 1 to 65535"),
        ({"origins": "https://a.example:\u0663"}, "an origin is a scheme, a host"),
        ({"origins": ["https://*.example"]}, "name each origin"),
        ({"origins": ["*", "https://a.example"]}, '"*" is all of them'),
        ({"origins": "*", "credentials": True}, "reflect_any_origin=True"),
        ({"origins": ["null"], "credentials": True}, "every page can have"),
        ({"origins": "*", "methods": "https://b.example"}, "Several origins are a list"),
        ({"origins": "*", "credentials": "yes"}, "say True or False"),
        ({"origins": "*", "reflect_any_origin": 1}, "say True or False"),
        ({"origins": "*", "max_age": -1}, "whole seconds"),
        ({"origins": "*", "max_age": 1.5}, "whole seconds"),
        ({"origins": "*", "max_age": True}, "whole seconds"),
        ({"origins": "*", "methods": []}, "leave it out"),
        ({"origins": "*", "methods": "GET"}, r"such as \['GET'\]"),
        ({"origins": "*", "allow_headers": 1}, "give a list of names"),
        ({"origins": "*", "allow_headers": ["X-A, X-B"]}, "it is no name"),
        ({"origins": "*", "expose_headers": ["X\r\nSet-Cookie: a=1"]}, "it is no name"),
        (
            {"origins": "https://a.example", "credentials": True, "allow_headers": ["*"]},
            'browsers take "\\*" for a name',
        ),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(settings: dict[str, Any], hint: str) -> None:
    app = RestApplication()

    with pytest.raises(ValueError, match=hint) as raised:
        app.cors(**settings)

    assert isinstance(raised.value, ConfigurationError)
    assert "\n" not in str(raised.value)


def test_any_origin_may_have_credentials_if_that_is_said() -> None:
    config = CORSConfig("*", credentials=True, reflect_any_origin=True)

    assert config.answer_fields(b"https://a.example")[:2] == (
        (b"access-control-allow-origin", b"https://a.example"),
        (b"access-control-allow-credentials", b"true"),
    )


def test_a_policy_cannot_change_once_it_was_looked_at() -> None:
    names = ["X-Own"]

    config = CORSConfig("*", allow_headers=names)
    names.append("X\r\nSet-Cookie: a=1")

    assert config.allow_headers == ("X-Own",)
