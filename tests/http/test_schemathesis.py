"""Schemathesis holds a served application to its document, whatever it makes up to send.

Beside values that the document allows it sends such as break it. `FUZZ_EXAMPLES` sets about
how many requests are made up, beside those at the bounds of what is documented; `make fuzz`
makes up many more, and others each time.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case, CheckContext, Response
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

WITHIN_S = 20
APPLICATION = Path(__file__).with_name("documented.py")
KNOWN_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"}

# ---- the document ------------------------------------------------------------------------

Document = dict[str, Any]
TEXT: Document = {"type": "string"}
COUNT: Document = {"type": "integer"}
PERSON: Document = {
    "type": "object",
    "properties": {"name": TEXT, "age": COUNT},
    "required": ["name", "age"],
}
ANY_OBJECT: Document = {"type": "object"}
REFUSAL: Document = {
    "application/json": {
        "schema": {"type": "object", "properties": {"error": TEXT}, "required": ["error"]}
    },
    "application/problem+json": {
        "schema": {
            "type": "object",
            "properties": {"title": TEXT, "status": COUNT},
            "required": ["title", "status"],
        }
    },
    "text/plain": {"schema": TEXT},
}
REQUIRED_FIELDS = {
    206: ("Content-Range",),
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    416: ("Content-Range",),
}


def answers(*statuses: int, media_type: str = "application/json", fields: Any = ()) -> Document:
    """Document the statuses of an operation: successes have *media_type*."""
    described: Document = {}
    for status in (*statuses, 405):
        names = fields if status in (200, 304) else REQUIRED_FIELDS.get(status, ())
        response: Document = {
            "description": str(status),
            "headers": {name: {"required": True, "schema": TEXT} for name in names},
        }
        if status >= 400:
            response["content"] = REFUSAL
        elif status not in (204, 304):
            schema = ANY_OBJECT if media_type == "application/json" else {}
            response["content"] = {media_type: {"schema": schema}}
        described[str(status)] = response
    return described


def given(where: str, name: str, schema: Document, required: bool = False) -> Document:
    return {"in": where, "name": name, "required": required or where == "path", "schema": schema}


def content(media_type: str, schema: Document) -> Document:
    return {"required": True, "content": {media_type: {"schema": schema}}}


def one_of(*values: str) -> Document:
    return {"type": "string", "enum": list(values)}


CONDITIONS = [
    given("header", "If-Match", one_of('"v1"', 'W/"v1"', '"other", "v1"', "*")),
    given("header", "If-None-Match", one_of('"v1"', 'W/"v1"', '"other"', "*")),
]
DATES = [
    given("header", name, one_of("Sun, 06 Nov 1994 08:49:37 GMT", "Sun Nov  6 08:49:37 2044", "x"))
    for name in ("If-Modified-Since", "If-Unmodified-Since")
]
RANGES = [
    given("header", "Range", one_of("bytes=0-1", "bytes=-0", "bytes=9-", "bytes=99999999-", "x=1")),
    given("header", "If-Range", one_of('"v1"', "Sun, 06 Nov 1994 08:49:37 GMT")),
]
ITEM = given("path", "item_id", {"type": "string", "minLength": 1})

PATHS: Mapping[str, Document] = {
    "/echo/{name}": {
        "get": {
            "parameters": [given("path", "name", TEXT), given("query", "q", TEXT)],
            "responses": answers(200, 400, 404),
        }
    },
    "/typed/{number}/{key}": {
        "get": {
            "parameters": [
                given("path", "number", COUNT),
                given("path", "key", {"type": "string", "format": "uuid"}),
            ],
            "responses": answers(200, 404),
        }
    },
    "/choices": {
        "get": {
            "parameters": [given("header", "Accept-Language", one_of("en", "de;q=0.5", "fr", "*"))],
            "responses": answers(200, 406, fields=["Vary"]),
        }
    },
    "/stream": {"get": {"responses": answers(200, media_type="application/octet-stream")}},
    "/bytes": {
        "get": {
            "parameters": RANGES,
            "responses": answers(
                200, 206, 416, media_type="application/octet-stream", fields=["Content-Length"]
            ),
        }
    },
    "/file": {
        "get": {
            "parameters": [*RANGES, *CONDITIONS, *DATES],
            "responses": answers(
                *(200, 206, 304, 412, 416),
                media_type="text/x-python",
                fields=["ETag", "Last-Modified"],
            ),
        }
    },
    "/private": {
        "get": {
            "parameters": [given("header", "Authorization", TEXT)],
            "responses": answers(200, 401),
        }
    },
    "/conflict": {"get": {"responses": answers(409)}},
    "/json": {
        "post": {
            "requestBody": content("application/json", {}),
            "responses": answers(200, 201, 400, 413, 415),
        }
    },
    "/form": {
        "post": {
            "requestBody": content("application/x-www-form-urlencoded", PERSON),
            "responses": answers(200, 400, 413, 415),
        }
    },
    "/text": {
        "post": {
            "requestBody": content("text/plain", TEXT),
            "responses": answers(200, 400, 413, 415),
        }
    },
    "/multipart": {
        "post": {
            "requestBody": content(
                "multipart/form-data",
                {
                    "type": "object",
                    "properties": {"name": TEXT, "file": {"type": "string", "format": "binary"}},
                    "required": ["file"],
                },
            ),
            "responses": answers(200, 400, 413, 415),
        }
    },
    "/person": {
        "post": {
            "requestBody": content("application/json", PERSON),
            "responses": answers(200, 400, 413, 415, 422),
        }
    },
    "/items/{item_id}": {
        "parameters": [ITEM, *CONDITIONS],
        "get": {"responses": answers(200, 304, 404, 412, fields=["ETag"])},
        "put": {
            "requestBody": content("application/json", {}),
            "responses": answers(200, 201, 400, 404, 412, 413, 415),
        },
        "delete": {"responses": answers(204, 404, 412)},
    },
}
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "800"))
schema = schemathesis.openapi.from_dict(
    {"openapi": "3.0.3", "info": {"title": "Every kind", "version": "1"}, "paths": PATHS},
    config=SchemathesisConfig(seed=1),
)


# ---- what is asked of every answer -------------------------------------------------------


def no_server_error(context: CheckContext, response: Response, case: Case) -> None:
    """Hold 501 to methods that RFC 9110 does not know, and find no other server error."""
    if response.status_code == 501:
        assert case.method not in KNOWN_METHODS
    else:
        not_a_server_error(context, response, case)


def well_formed(context: CheckContext, response: Response, case: Case) -> None:
    """Hold fields and content to each other, and to what HTTP asks of them."""
    fields = response.headers
    assert 200 <= response.status_code < 600
    assert "date" in fields
    for name in {"content-length", "content-type"} & fields.keys():
        assert len(fields[name]) == 1
    if response.status_code in (204, 304) or case.method == "HEAD":
        assert response.content == b""
    elif "content-length" in fields:
        assert fields["content-length"] == [str(len(response.content))]
    else:
        assert fields["transfer-encoding"] == ["chunked"]


def tells_nothing_of_the_code(context: CheckContext, response: Response, case: Case) -> None:
    """Find no traceback in the content."""
    assert b"Traceback (most recent call last)" not in response.content
    assert b'.py", line ' not in response.content


CHECKS = [
    no_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    allow_header_conformance,
    well_formed,
    tells_nothing_of_the_code,
]


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the file that takes what the server complains of."""
    return tmp_path_factory.mktemp("served") / "stderr"


@pytest.fixture(scope="module")
def address(complaints: Path) -> Iterator[str]:
    """Serve the application with uvicorn, in a process of its own."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        complaints.open("ab") as stderr,
        subprocess.Popen(
            [sys.executable, str(APPLICATION), str(listener.fileno())],
            pass_fds=[listener.fileno()],
            stderr=stderr,
            cwd=APPLICATION.parents[2],
            env={**os.environ, "PYTHONPATH": "."},
        ) as server,
    ):
        host, port = listener.getsockname()
        yield f"http://{host}:{port}"
        server.terminate()


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """Give a session, so that an answer too long would spoil the next."""
    with requests.Session() as session:
        yield session


@schema.parametrize()
@settings(
    max_examples=max(1, EXAMPLES // len(list(schema.get_all_operations()))),
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_documented_and_well_formed(
    case: Case, address: str, session: requests.Session, complaints: Path
) -> None:
    os.truncate(complaints, 0)

    case.call_and_validate(address, session=session, checks=CHECKS, timeout=WITHIN_S)

    assert complaints.read_text() == ""
