"""The modules and names that applications import, and the guides' names for callbacks."""

import importlib
import subprocess
import sys
from typing import Any

import pytest
from pydantic import BaseModel

import restmachine
from restmachine import ErrorResponse, Request, Response, RestApplication, errors
from restmachine.adapters import Adapter
from restmachine.exceptions import AcceptsParsingError, RestFrameworkError, ValidationError
from restmachine.models import (
    CaseInsensitiveDict,
    MultiValueHeaders,
    etags_match,
    parse_etags,
    parse_range_header,
)
from restmachine.testing import TestClient

NAMES = [
    (
        "restmachine.models",
        "Request Response HTTPMethod MultiValueHeaders CaseInsensitiveDict parse_etags etags_match "
        "parse_range_header is_seekable_stream get_stream_size FileResponse",
    ),
    ("restmachine.router", "Router normalize_path"),
    ("restmachine.adapters", "Adapter ASGIAdapter create_asgi_app"),
    ("restmachine.server", "ASGIAdapter create_asgi_app"),
    (
        "restmachine.content_renderers",
        "ContentRenderer JSONRenderer HTMLRenderer PlainTextRenderer",
    ),
    ("restmachine.dependencies", "DependencyScope"),
    ("restmachine.streaming", "BytesStreamBuffer FileStreamWrapper"),
    ("restmachine.error_models", "ErrorResponse"),
    (
        "restmachine.exceptions",
        "ValidationError RestFrameworkError DependencyResolutionError RouteNotFoundError "
        "ContentNegotiationError AcceptsParsingError",
    ),
    ("restmachine.decorators", "skip_content_negotiation skip_auth_check cache_response"),
]


def without_pydantic(code: str) -> str:
    """Run code in a fresh interpreter where Pydantic is not installed."""
    start = "import sys; sys.modules['pydantic'] = None\n"
    done = subprocess.run(
        [sys.executable, "-c", start + code], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() + done.stderr.strip()


@pytest.mark.parametrize(("module", "names"), NAMES)
def test_module_has_the_names_that_applications_import(module: str, names: str) -> None:
    found = vars(importlib.import_module(module))

    assert {*names.split()} <= {*found}


def test_importing_the_package_does_not_import_pydantic() -> None:
    code = "import sys, restmachine; print('pydantic' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


def test_package_has_no_name_that_it_does_not_list() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = restmachine.nonsense


# ---- exceptions and error bodies ---------------------------------------------------------


def test_every_exception_of_the_framework_is_an_ordinary_exception() -> None:
    assert issubclass(RestFrameworkError, Exception)
    assert issubclass(errors.DependencyCycleError, errors.DependencyResolutionError)
    assert issubclass(errors.MissingExtraError, ImportError)


def test_failing_parser_keeps_what_it_raised() -> None:
    cause = KeyError("x")

    error = AcceptsParsingError(original_exception=cause)

    assert (error.message, error.original_exception) == ("Failed to parse request body", cause)
    assert AcceptsParsingError("no").status == 422


def test_error_handler_sees_what_a_parser_raised() -> None:
    app = RestApplication()

    @app.accepts("text/csv")
    def rows(body):
        raise LookupError("row 3")

    @app.post("/rows")
    def create(rows):
        return rows

    @app.handles_error(422)
    def refused(exception):
        return {"cause": type(exception.original_exception).__name__}

    response = TestClient(app).post("/rows", content="a", headers={"Content-Type": "text/csv"})

    assert (response.status, response.json()) == (422, {"cause": "LookupError"})


@pytest.mark.parametrize(
    ("error", "status"), [("RouteNotFoundError", 404), ("ContentNegotiationError", 406)]
)
def test_exceptions_that_are_outcomes_answer_with_their_status(error: str, status: int) -> None:
    app = RestApplication()

    @app.get("/")
    def fail():
        raise getattr(errors, error)("because")

    response = TestClient(app).get("/")

    assert (response.status, response.json()["details"]) == (status, "because")


class Item(BaseModel):
    size: int


def failed_validation() -> ValidationError:
    """Return what Pydantic raises."""
    with pytest.raises(ValidationError) as raised:
        Item(size="large")  # type: ignore[arg-type]  # the point
    return raised.value


def test_error_response_is_a_model_that_leaves_out_what_is_not_there() -> None:
    response = ErrorResponse(error="No", request_id="r-1")

    assert isinstance(response, BaseModel)
    assert response.model_dump_json() == '{"error":"No","request_id":"r-1"}'
    assert response.model_dump(exclude_none=True) == {"error": "No", "request_id": "r-1"}


def test_error_response_of_a_failed_validation_has_details_without_urls() -> None:
    response = ErrorResponse.from_validation_error(failed_validation(), trace_id="t-1")

    assert (response.error, response.trace_id) == ("Validation failed", "t-1")
    assert response.details[0]["loc"] == ("size",)
    assert "url" not in response.details[0]


def test_error_response_of_what_has_no_list_of_errors_has_no_details() -> None:
    assert ErrorResponse.from_validation_error(RuntimeError("x")).details is None


@pytest.mark.parametrize(
    ("returned", "status", "content"),
    [
        (ErrorResponse(error="Gone fishing", status_code=503), 503, {"error": "Gone fishing"}),
        (
            ErrorResponse(message="No such item", status_code=404),
            404,
            {"error": "Not Found", "message": "No such item"},
        ),
        (ErrorResponse(error="Broken"), 500, {"error": "Broken"}),
    ],
)
def test_error_response_of_a_handler_answers_with_its_status(
    returned: Any, status: int, content: dict[str, str]
) -> None:
    app = RestApplication()
    app.get("/")(lambda: returned)

    response = TestClient(app).get("/")

    assert (response.status, response.json()) == (status, content)


def test_error_response_works_the_same_without_pydantic() -> None:
    code = """
from restmachine import ErrorResponse, Request, RestApplication, ValidationError
from restmachine.exceptions import RestFrameworkError
app = RestApplication()
app.get("/")(lambda: ErrorResponse(message="No", status_code=404))
print(app.execute(Request("GET", "/")).body)
error = ErrorResponse.from_validation_error(ValidationError())
print(error.model_dump(), error.model_dump_json())
print(error.model_dump(exclude_none=False)["trace_id"])
print(ValidationError("bad").json(), issubclass(ValidationError, RestFrameworkError))
"""

    assert without_pydantic(code).splitlines() == [
        'b\'{"error":"Not Found","message":"No"}\'',
        "{'error': 'Validation failed', 'details': [{'msg': 'Validation failed'}]} "
        '{"error":"Validation failed","details":[{"msg":"Validation failed"}]}',
        "None",
        "{'detail': [{'msg': 'bad'}]} True",
    ]


def test_validates_without_pydantic_is_an_import_error_that_names_the_extra() -> None:
    code = """
from restmachine import RestApplication
try:
    RestApplication().validates(lambda json_body: json_body)
except ImportError as error:
    print(error)
"""

    assert "pip install 'measured-rest[validation]'" in without_pydantic(code)


# ---- models ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "tags"),
    [
        (None, []),
        ("", []),
        ("*", ["*"]),
        ('"a", W/"b,c"', ['"a"', 'W/"b,c"']),
        ("bare", ['"bare"']),
    ],
)
def test_entity_tags_are_listed_as_they_are_written(field: str | None, tags: list[str]) -> None:
    assert parse_etags(field) == tags


@pytest.mark.parametrize(
    ("one", "other", "strong", "weak"),
    [
        ('"a"', '"a"', True, True),
        ('W/"a"', '"a"', False, True),
        ('"a"', '"b"', False, False),
        ("", '"a"', False, False),
        (None, None, False, False),
    ],
)
def test_entity_tags_match_strongly_or_weakly(
    one: str | None, other: str | None, strong: bool, weak: bool
) -> None:
    assert etags_match(one, other) is strong
    assert etags_match(one, other, strong_comparison=False) is weak


@pytest.mark.parametrize(
    ("field", "parts"),
    [("bytes=0-4", [(0, 4)]), ("bytes=-3", [(7, 9)]), ("lines=1-2", []), (None, [])],
)
def test_ranges_are_pairs_of_first_and_last_byte(
    field: str | None, parts: list[tuple[int, int]]
) -> None:
    assert parse_range_header(field, 10) == parts


def test_headers_have_a_second_name() -> None:
    assert CaseInsensitiveDict is MultiValueHeaders


def test_adapter_of_a_platform_must_say_how_it_converts() -> None:
    class Half(Adapter):
        def handle_event(self, event: Any, context: Any = None) -> Any:
            return Response(200)

    with pytest.raises(TypeError, match="abstract"):
        Half()  # type: ignore[abstract]  # the point


# ---- the guides' names of callbacks ------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "answer", "status"),
    [
        ("service_available", False, 503),
        ("known_method", False, 501),
        ("uri_too_long", True, 414),
        ("malformed_request", True, 400),
        ("valid_content_headers", False, 400),
    ],
)
def test_guides_names_decide_for_every_route(name: str, answer: bool, status: int) -> None:
    app = RestApplication(blocking=False)
    getattr(app, name)(lambda: answer)
    app.get("/")(lambda: {"ok": True})

    assert app.execute(Request("GET", "/")).status_code == status


def test_guides_name_of_the_entity_tag_states_it() -> None:
    app = RestApplication()
    app.dependency(name="document")(lambda: {"ok": True})
    app.etag(lambda document: "v1")
    app.get("/")(lambda document: document)

    assert TestClient(app).get("/").headers["ETag"] == '"v1"'
