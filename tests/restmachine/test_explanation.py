"""Explanations of one request: every decision with the reason for its answer."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from restmachine import NotFound, Observer, Request, RestApplication
from restmachine.decisions import DIAGRAM, Effect
from restmachine.explanation import ASKED, SETTLED, UNREAD, run_request, told_passage


@pytest.fixture
def app() -> RestApplication:
    app = RestApplication()
    items = {"1": {"name": "lamp", "secret": "hunter2"}}

    @app.resource_exists
    def item(item_id):
        return items.get(item_id)

    @app.generate_etag
    def tag(item):
        return "v1"

    @app.authorized
    def known(request_headers):
        return "X-Stranger" not in request_headers

    @app.get("/items/{item_id}")
    def read(item, known):
        return item

    @app.put("/items/{item_id}")
    def write(item, json_body):
        return json_body

    @app.get("/lost")
    def lost():
        raise NotFound("the text of an outcome")

    @app.get("/broken")
    def broken():
        raise KeyError("password=hunter2")

    @app.post("/made")
    def make(json_body):
        return {}, 201, {"Location": "/made/1"}

    @app.post("/taken")
    def take(json_body):
        return {}, 202

    @app.get("/file")
    def file():
        return Path(__file__)

    @app.get("/no-file")
    def no_file():
        return Path(__file__).with_name("nothing")

    return app


def told(app: RestApplication, *request, plan_only: bool = False, **more) -> list[str]:
    """Return the lines of an explanation, runs of blanks made one."""
    passage = run_request(app, Request(*request, **more))
    return [" ".join(line.split()) for line in told_passage(passage, plan_only)]


def row(lines: list[str], id: str) -> str:
    return next(line for line in lines if line.startswith(f"{id} "))


def test_a2_a_preflight_is_told_with_what_was_sent(app: RestApplication) -> None:
    app.get("/open")(app.cors("https://a.example")(lambda: {"a": 1}))
    asks = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}

    crossing = told(app, "OPTIONS", "/open", headers=asks)
    plain = told(app, "OPTIONS", "/open")
    closed, other = told(app, "OPTIONS", "/lost"), told(app, "GET", "/open", headers=asks)

    assert "yes -> 204 request: Origin: https://a.example; Access-Control-Request-Method: GET" in (
        row(crossing, "A2")
    )
    assert "access-control-allow-origin: https://a.example" in crossing
    assert "no -> B13 request: Origin was not sent" in row(plain, "A2")
    assert "no -> B13 route: no page of another origin may send to it" in row(closed, "A2")
    assert "no -> B13 route: the method is GET" in row(other, "A2")
    assert "access-control-allow-origin: https://a.example" in other


def test_opening_names_the_route_and_its_handler(app: RestApplication) -> None:
    opening = told(app, "GET", "/items/1")[0]

    assert opening.startswith("GET /items/1 belongs to the route GET /items/{item_id}, whose ")
    assert opening.endswith("app.<locals>.read.")


def test_rows_come_in_the_order_of_the_diagram_and_lead_to_each_other(
    app: RestApplication,
) -> None:
    lines = told(app, "GET", "/items/1")

    leads = [line.split(" -> ")[1].split()[0] for line in lines if " -> " in line]
    ids = [line.split()[0] for line in lines if " -> " in line]
    assert ids[0] == "A1"
    assert leads == [*ids[1:], "200"]


def test_callback_that_nobody_registered_is_settled_by_the_route(app: RestApplication) -> None:
    line = row(told(app, "GET", "/items/1"), "B13")

    assert line == ("B13 Callback: service available? yes -> B12 route: no callback registered")


def test_callback_is_told_by_name_and_kind_of_value_and_never_by_the_value(
    app: RestApplication,
) -> None:
    lines = told(app, "GET", "/items/1")

    assert row(lines, "B8").endswith("yes -> B7 request: known gave True")
    assert row(lines, "G7").endswith("yes -> G8 request: item gave a dict")
    assert "hunter2" not in "".join(lines)


def test_absent_resource_is_explained_by_none(app: RestApplication) -> None:
    lines = told(app, "GET", "/items/2")

    assert row(lines, "G7").endswith("no -> I7 request: item gave None")
    assert "404 Not Found" in lines


def test_field_is_shown_as_it_was_sent(app: RestApplication) -> None:
    lines = told(app, "PUT", "/items/1", {"If-Match": 'W/"v1"', "Accept": "*/*"})

    assert row(lines, "G8").endswith('yes -> G9 request: If-Match: W/"v1"')
    assert row(lines, "G11").endswith(
        'no -> 412 request: If-Match: W/"v1"; the current one is "v1"'
    )
    assert "412 Precondition Failed" in lines


def test_field_that_was_not_sent_is_told(app: RestApplication) -> None:
    line = row(told(app, "GET", "/items/1"), "I12")

    assert line == "I12 If-None-Match sent? no -> L13 request: If-None-Match was not sent"


def test_field_that_means_nothing_to_the_route_is_told(app: RestApplication) -> None:
    line = row(told(app, "GET", "/items/1"), "D4")

    assert line.endswith("no -> E5 route: it offers no languages")


def test_method_settles_a_row_for_the_route(app: RestApplication) -> None:
    lines = told(app, "GET", "/items/1", {"If-None-Match": '"v1"'})

    assert row(lines, "J18") == "J18 GET or HEAD? yes -> 304 route: the method is GET"


def test_method_without_a_handler_is_told_what_the_path_answers(app: RestApplication) -> None:
    lines = told(app, "DELETE", "/items/1")

    assert lines[0] == "DELETE /items/1: /items/{item_id} has no handler for DELETE."
    assert row(lines, "B10").endswith("405 route: the path answers only GET, HEAD, OPTIONS, PUT")


def test_path_without_a_route_ends_at_the_first_row(app: RestApplication) -> None:
    lines = told(app, "GET", "/nowhere")

    assert lines[0] == "GET /nowhere: no route matches this path."
    assert row(lines, "A1").endswith("no -> 404 route: none matches")


def test_outcome_that_the_handler_raised_is_told_with_its_place(app: RestApplication) -> None:
    lines = told(app, "GET", "/lost")

    told_row = row(lines, "produce")
    assert "-> 404 NotFound was raised at " in told_row
    assert told_row.endswith(", which means 404")
    assert "test_explanation.py:" in told_row


def test_bug_is_told_as_500_and_its_text_stays_in_the_log(
    app: RestApplication, caplog: pytest.LogCaptureFixture
) -> None:
    lines = told(app, "GET", "/broken")

    assert "-> 500 KeyError was raised at " in row(lines, "produce")
    assert "500 Internal Server Error" in lines
    assert "hunter2" not in "".join(lines)
    assert "hunter2" in caplog.text


def test_malformed_content_is_told_where_it_is_read(app: RestApplication) -> None:
    lines = told(app, "POST", "/made", {"Content-Type": "application/json"}, b"{")

    assert "-> 400 BadRequest was raised" in row(lines, "N11")
    assert row(lines, "B5").endswith("request: Content-Type: application/json")


def test_status_that_the_handler_states_is_told_to_win(app: RestApplication) -> None:
    lines = told(app, "POST", "/taken", {"Content-Type": "application/json"}, b"{}")

    assert row(lines, "O18").endswith("no -> 200 route: no callback registered")
    assert "The handler states the status 202 itself, which wins over the diagram's." in lines
    assert "202 Accepted" in lines


def test_status_in_which_the_diagram_ends_too_wins_over_nothing(app: RestApplication) -> None:
    lines = told(app, "POST", "/made", {"Content-Type": "application/json"}, b"{}")

    assert row(lines, "P11").endswith("yes -> 201 request: the handler stated a Location")
    assert not any("wins" in line for line in lines)
    assert "location: /made/1" in lines


@pytest.mark.parametrize(
    ("path", "fields", "told_late", "status"),
    [
        ("/file", {"If-None-Match": "*"}, "the client has it already", "304 Not Modified"),
        ("/file", {"If-Match": '"x"'}, "not the one that", "412 Precondition Failed"),
        ("/file", {"Range": "bytes=0-1"}, "only the part", "206 Partial Content"),
        ("/file", {"Range": "bytes=9999999-"}, "no part", "416 Range Not Satisfiable"),
        ("/no-file", {"If-Match": "*"}, "There is no file", "404 Not Found"),
    ],
)
def test_what_becomes_of_the_answer_after_the_diagram_is_told(
    app: RestApplication, path: str, fields: dict[str, str], told_late: str, status: str
) -> None:
    lines = told(app, "GET", path, fields)

    assert row(lines, "O18").split(" -> ")[1].startswith("200")
    assert told_late in lines[lines.index(status) - 1]


@pytest.mark.parametrize(
    ("id", "fields"), [("G11", {"If-Match": '"x"'}), ("I13", {"If-None-Match": "*"})]
)
def test_g11_i13_what_is_left_open_for_the_answer_is_told(
    app: RestApplication, id: str, fields: dict[str, str]
) -> None:
    line = row(told(app, "GET", "/file", fields), id)

    assert line.endswith("; left open until the answer tells its own tag")


def test_uri_that_is_too_long_is_refused_before_any_decision(app: RestApplication) -> None:
    lines = told(app, "GET", "/items/" + "x" * 8186)

    assert lines[1:4] == [
        "Its path and query have 8193 bytes and may have 8192, so no decision is asked.",
        "",
        "414 URI Too Long",
    ]


def test_fields_that_are_too_long_are_told_where_they_are_read(app: RestApplication) -> None:
    lines = told(app, "GET", "/items/1", {"X-Long": "x" * 40_000})

    assert "-> 431 RequestHeaderFieldsTooLarge was raised, which means 431" in row(lines, "B8")
    assert "431 Request Header Fields Too Large" in lines


def test_header_fields_of_the_response_come_last(app: RestApplication) -> None:
    lines = told(app, "GET", "/items/1", {"If-None-Match": '"v1"'})

    assert lines[-3:] == ["304 Not Modified", "vary: Accept", 'etag: "v1"']


def test_plan_only_tells_the_steps_of_the_plan(app: RestApplication) -> None:
    plan, _ = app.dispatch("GET", "/items/1")

    lines = told(app, "GET", "/items/1", plan_only=True)

    ids = {line.split()[0] for line in lines if " -> " in line}
    assert ids < {step.id for step in plan.steps()}
    assert {"B8", "G7", "G8", "I12", "produce"} <= ids
    assert not any("route:" in line for line in lines)


def test_bypass_route_is_told_from_its_handler_on() -> None:
    app = RestApplication()

    @app.get("/fast", bypass_state_machine=True)
    def fast():
        return {}

    lines = told(app, "GET", "/fast")

    assert [line.split()[0] for line in lines if " -> " in line] == ["produce", "O20", "O18"]


def test_generators_are_finished_and_told_the_last_one_made_first() -> None:
    app = RestApplication()
    events = []

    @app.dependency()
    def outer():
        yield 1
        events.append("outer")

    @app.dependency()
    async def inner(outer):
        yield 2
        events.append("inner")

    @app.get("/x")
    def handler(inner):
        events.append("handler")
        return {}

    lines = told(app, "GET", "/x")

    assert events == ["handler", "inner", "outer"]
    assert "Torn down, the last one made first: inner, outer." in lines


def test_generator_that_fails_at_teardown_is_told() -> None:
    app = RestApplication()

    @app.dependency()
    def transaction():
        yield
        raise RuntimeError("hunter2")

    @app.get("/x")
    def handler(transaction):
        return {}

    lines = told(app, "GET", "/x")

    late = next(line for line in lines if line.startswith("While the answer was finished"))
    assert "RuntimeError was raised at " in late
    assert "500 Internal Server Error" in lines


def test_stream_is_closed_unread() -> None:
    app = RestApplication()
    events = []

    class Content:
        def __iter__(self):
            return self

        def __next__(self):
            events.append("read")
            return b"x"

        def close(self):
            events.append("closed")

    @app.get("/x")
    def stream():
        return Content()

    lines = told(app, "GET", "/x")

    assert "200 OK" in lines
    assert events == ["closed"]


def test_session_dependencies_are_made_when_asked_for_and_finished() -> None:
    app = RestApplication()
    events = []

    @app.on_startup
    async def pool():
        events.append("made")
        yield "pool"
        events.append("finished")

    @app.on_startup
    def unused():
        events.append("unused")

    @app.get("/x")
    def handler(pool):
        events.append(pool)
        return {}

    told(app, "GET", "/x")

    assert events == ["made", "pool", "finished"]


def test_observers_hear_a_request_start_and_finish(app: RestApplication) -> None:
    heard = []

    class Hearing(Observer):
        def request_started(self, exchange, now):
            heard.append("started")
            exchange.notes["mine"] = 1

        def request_finished(self, exchange, status, sent_bytes, now):
            heard.append((status, exchange.notes["mine"]))

    app.observe(Hearing())

    told(app, "GET", "/items/1")

    assert heard == ["started", (200, 1)]


def test_date_that_is_compared_is_told_with_the_current_one() -> None:
    app = RestApplication()

    @app.resource_exists
    def item(item_id):
        return {}

    @app.last_modified
    def changed(item):
        return datetime(2020, 5, 17, tzinfo=UTC)

    @app.get("/items/{item_id}")
    def read(item):
        return item

    field = {"If-Modified-Since": "Sun, 17 May 2020 00:00:00 GMT"}

    line = row(told(app, "GET", "/items/1", field), "L17")

    assert line.endswith(
        "no -> 304 request: If-Modified-Since: Sun, 17 May 2020 00:00:00 GMT; "
        "last modified: Sun, 17 May 2020 00:00:00 GMT"
    )


def test_every_row_has_words_for_its_reason() -> None:
    rows = {id: row for id, row in DIAGRAM.items() if not isinstance(row, Effect)}
    plain = {id for id, row in rows.items() if not row.question.kind and not row.question.field}

    assert SETTLED.keys() | ASKED.keys() == plain
    assert UNREAD.keys() <= {row.question.field for row in rows.values()}


def test_kind_of_callback_is_known_of_each_question_that_asks_one() -> None:
    asked = {
        row.question.kind
        for row in DIAGRAM.values()
        if not isinstance(row, Effect) and row.question.text.startswith("Callback: ")
    }

    assert "resource_exists" in asked
    assert "" not in asked


def test_fields_that_every_response_gets_are_told(app: RestApplication) -> None:
    app.default_headers(lambda: {"X-Frame-Options": "DENY"})

    assert "x-frame-options: deny" in "\n".join(told(app, "GET", "/items/1")).lower()
