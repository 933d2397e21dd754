"""Settings that cannot be are refused where they are stated, with what to do."""

from __future__ import annotations

import re
from typing import Any

import pytest

from restmachine import ConfigurationError, RestApplication
from restmachine.testing import TestClient


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"threads": 0}, "RestApplication was given threads=0: give a whole number, 1 or more."),
        ({"threads": "4"}, "threads='4': give a whole number"),
        ({"threads": True}, "threads=True: give a whole number"),
        ({"max_content": -1}, "max_content=-1: give a whole number, 0 or more."),
        ({"max_form_fields": 1.5}, "max_form_fields=1.5: give a whole number"),
        ({"max_uri": None}, "max_uri=None: give a whole number"),
        ({"max_headers": 0}, "max_headers=0: give a whole number, 1 or more."),
        ({"drain_seconds": -1}, "drain_seconds=-1: give seconds, 0 or more."),
        ({"drain_seconds": float("nan")}, "drain_seconds=nan: give seconds"),
        ({"drain_seconds": "5"}, "drain_seconds='5': give seconds"),
        ({"challenge": "Basic\r\nX-A: b"}, "give a scheme of authentication"),
        ({"challenge": ""}, "challenge='': give a scheme of authentication"),
    ],
)
def test_settings_of_an_application(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        RestApplication(**settings)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_content": "5"}, "The route GET /x was given max_content='5': give a whole number"),
        ({"max_content": -5}, "max_content=-5: give a whole number, 0 or more."),
        ({"creates": True}, "The route GET /x says creates=True, which only a PUT can."),
        ({"languages": "en"}, "languages='en': give a tuple, such as ('en',)."),
        ({"languages": ("e\nn",)}, "'e\\nn' among its languages: it is none."),
        ({"encodings": 5}, "encodings=5: give a tuple"),
        ({"encodings": ("gzip", None)}, "None among its encodings: it is none."),
        ({"charsets": ("utf-8", "latin-99")}, 'the charset "latin-99", which Python does not know'),
        ({"charsets": ("hex",)}, 'the charset "hex", which Python does not know'),
    ],
)
def test_options_of_a_route(options: dict[str, Any], words: str) -> None:
    app = RestApplication()

    with pytest.raises(ConfigurationError, match=re.escape(words)):
        app.get("/x", **options)


def test_what_a_route_offers_may_be_a_list() -> None:
    app = RestApplication()
    app.get("/x", languages=["de", "pt-BR"])(lambda language: {"language": language})

    response = TestClient(app).get("/x", headers={"Accept-Language": "pt"})

    assert response.json() == {"language": "pt-BR"}


def test_observer_that_is_none() -> None:
    app = RestApplication()

    with pytest.raises(ConfigurationError, match="'me' cannot observe: hand over an instance of"):
        app.observe("me")  # type: ignore[arg-type]  # what is refused
