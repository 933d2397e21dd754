"""The examples do what their docstrings say."""

import gzip
import logging
import runpy
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from restmachine import Request
from restmachine.testing import TestClient

FOLDER = Path(__file__).parent.parent / "examples"
EXAMPLES = sorted(path.stem for path in FOLDER.glob("*.py"))

Example = Callable[[str], tuple[TestClient, SimpleNamespace]]


@pytest.fixture
def example() -> Iterator[Example]:
    """Start an example by name; return its client and its names."""
    started: list[TestClient] = []

    def start(name: str) -> tuple[TestClient, SimpleNamespace]:
        names = runpy.run_path(str(FOLDER / f"{name}.py"), run_name=name)
        client = TestClient(names["asgi_app"])
        client.__enter__()
        started.append(client)
        return client, SimpleNamespace(**names)

    yield start
    for client in started:
        client.__exit__(None, None, None)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep the tracebacks of errors that are meant out of the report."""
    caplog.set_level("CRITICAL", logger="restmachine")


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_starts_answers_and_ends(example: Example, name: str) -> None:
    client, _ = example(name)

    assert client.get("/no/such/place/here").status == 404


# ---- library: dependencies and teardown --------------------------------------------------


def test_library_lists_a_page(example: Example) -> None:
    client, _ = example("library")

    first = client.get("/books").json()
    last = client.get("/books?page=3&size=2").json()

    assert first == {"titles": ["Emma", "Middlemarch"], "page": 1, "total": 5}
    assert last["titles"] == ["Villette"]
    assert client.get("/books?page=next").status == 400


def test_library_keeps_a_change_that_succeeds(example: Example) -> None:
    client, _ = example("library")

    lent = client.post("/books/Emma/loans")

    assert lent.status == 201
    assert lent.json() == client.get("/books/Emma").json() == {"title": "Emma", "copies": 1}


def test_library_undoes_a_change_that_fails(example: Example) -> None:
    client, _ = example("library")

    failed = client.post("/books/Villette/loans")

    assert failed.status == 500
    assert client.get("/books/Villette").json() == {"title": "Villette", "copies": 0}


def test_library_tells_in_json_of_an_unknown_book(example: Example) -> None:
    client, _ = example("library")

    answer = client.get("/books/Dune")

    assert answer.status == 404
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {"error": "there is no book called Dune"}


def test_library_opens_one_connection_for_all_that_one_request_needs(
    example: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, names = example("library")
    client.get("/books")  # makes the database
    opened = []
    connect = names.sqlite3.connect
    monkeypatch.setattr(
        names.sqlite3, "connect", lambda *path, **kw: opened.append(path) or connect(*path, **kw)
    )

    client.post("/books/Emma/loans")

    assert len(opened) == 1


def test_library_removes_its_database_at_shutdown() -> None:
    names = runpy.run_path(str(FOLDER / "library.py"))
    with TestClient(names["asgi_app"]) as client:
        client.get("/books")
        path = names["app"].compiled.resources["database"].value
        meanwhile = path.exists()

    assert meanwhile
    assert not path.exists()


# ---- museum: pools and caches ------------------------------------------------------------

TICKET = {"Authorization": "Bearer day"}


def test_museum_answers_a_second_visit_from_the_cache(example: Example) -> None:
    client, _ = example("museum")

    first = client.get("/rooms/east", headers=TICKET)
    second = client.get("/rooms/east", headers=TICKET)

    assert (first.headers["X-Cache"], second.headers["X-Cache"]) == ("MISS", "HIT")
    assert first.json() == second.json()
    assert len(first.json()) == 30


def test_museum_reads_again_what_is_no_longer_fresh(example: Example) -> None:
    client, names = example("museum")
    client.get("/rooms/east", headers=TICKET)

    names.app.compiled.resources["cache"].value.set("east", [], fresh_for_s=-1.0)

    assert client.get("/rooms/east", headers=TICKET).headers["X-Cache"] == "MISS"


def test_museum_gets_its_connections_back_when_requests_fail(example: Example) -> None:
    client, _ = example("museum")

    failed = {client.get("/exhibits/1000/weight", headers=TICKET).status for _ in range(10)}

    assert failed == {400}  # a ValueError; the pool holds four
    assert client.get("/exhibits/7/weight", headers=TICKET).json()["name"] == "vase 7"


def test_museum_is_closed_to_those_without_a_ticket_but_tells_its_hours(example: Example) -> None:
    client, _ = example("museum")

    hours = client.get("/opening-hours", headers={"Accept": "text/html"})

    assert client.get("/rooms/east").status == 401
    assert hours.status == 200
    assert hours.headers["Content-Type"] == "application/json"
    assert hours.headers["Cache-Control"] == "max-age=3600"


def test_museum_compresses_long_answers(example: Example) -> None:
    client, _ = example("museum")

    plain = client.get("/rooms/west", headers=TICKET)
    packed = client.get("/rooms/west", headers={**TICKET, "Accept-Encoding": "gzip"})

    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.content) == plain.content


# ---- notes: conditional requests ---------------------------------------------------------


def test_notes_sends_nothing_to_a_client_that_has_the_version(example: Example) -> None:
    client, _ = example("notes")
    first = client.get("/notes/milk")

    by_tag = client.get("/notes/milk", headers={"If-None-Match": first.headers["ETag"]})
    by_date = client.get(
        "/notes/milk", headers={"If-Modified-Since": first.headers["Last-Modified"]}
    )

    assert (by_tag.status, by_date.status) == (304, 304)
    assert by_tag.content == by_date.content == b""


def test_notes_refuses_to_overwrite_what_a_client_has_not_seen(example: Example) -> None:
    client, _ = example("notes")
    seen = {"If-Match": client.get("/notes/milk").headers["ETag"]}

    first = client.put("/notes/milk", json={"text": "buy oat milk"}, headers=seen)
    second = client.put("/notes/milk", json={"text": "buy soy milk"}, headers=seen)

    assert (first.status, second.status) == (200, 412)
    assert client.get("/notes/milk").json() == {"text": "buy oat milk"}


def test_notes_tells_what_is_gone_from_what_never_was(example: Example) -> None:
    client, _ = example("notes")

    torn = client.delete("/notes/milk")

    assert torn.status == 204
    assert client.get("/notes/milk").status == 410
    assert client.get("/notes/bread").status == 404


# ---- journey: async and gather -----------------------------------------------------------


def test_journey_asks_two_questions_at_the_same_time(example: Example) -> None:
    client, _ = example("journey")

    line = client.get("/lines/coast")

    assert line.json() == {"stops": ["Port", "Cliff", "Bay"], "minutes_late": 1}
    assert client.get("/busiest").json() == {"most_waiting": 2}


def test_journey_mixes_sync_and_async_in_one_request(example: Example) -> None:
    client, _ = example("journey")

    notice = client.get("/lines/hills/notice")

    assert notice.json() == {"notice": "The hills line is late by 1 min."}
    assert client.get("/lines/moon").status == 404


def test_journey_works_without_an_event_loop_of_the_caller() -> None:
    app = runpy.run_path(str(FOLDER / "journey.py"))["app"]

    app.startup_sync()
    answers = [app.execute(Request("GET", "/lines/coast")) for _ in range(3)]
    app.shutdown_sync()

    assert [answer.status_code for answer in answers] == [200] * 3


def test_journey_closes_its_client_at_shutdown() -> None:
    names = runpy.run_path(str(FOLDER / "journey.py"))
    with TestClient(names["asgi_app"]) as client:
        client.get("/lines/coast")
        timetable = names["app"].compiled.resources["timetable"].value
        meanwhile = timetable.closed

    assert not meanwhile
    assert timetable.closed


# ---- prints: background work -------------------------------------------------------------


def test_prints_answers_before_the_work_is_done(example: Example) -> None:
    client, names = example("prints")
    free = threading.Event()
    waiting = names.app.compiled.resources["press"].value
    blockers = [waiting.submit(free.wait, 10) for _ in range(2)]

    taken = client.post("/prints", json={"text": "hello", "copies": 2})
    meanwhile = client.get(taken.headers["Location"])
    free.set()
    assert all(blocker.result() for blocker in blockers)
    names.JOBS[taken.json()["job"]].result(timeout=10)
    after = client.get(taken.headers["Location"])

    assert (taken.status, meanwhile.status, after.status) == (202, 202, 200)
    assert after.json()["print"] == "HELLO\nHELLO"


def test_prints_refuses_an_order_that_is_not_valid(example: Example) -> None:
    client, names = example("prints")

    refused = client.post("/prints", json={"text": "", "copies": 0})

    assert refused.status == 422
    assert b"copies" in refused.content
    assert names.JOBS == {}


def test_prints_finishes_what_was_ordered_before_it_ends() -> None:
    names = runpy.run_path(str(FOLDER / "prints.py"))
    with TestClient(names["asgi_app"]) as client:
        client.post("/prints", json={"text": "late"})

    assert [job.result(timeout=0) for job in names["JOBS"].values()] == ["LATE"]


# ---- observatory: timing and errors ------------------------------------------------------


def test_observatory_tells_the_time_of_a_request(example: Example) -> None:
    client, _ = example("observatory")

    answer = client.get("/stars/1000")

    assert answer.json() == {"stars": 1000}
    assert answer.headers["Server-Timing"].startswith("handler;dur=")


def test_observatory_logs_slow_requests_only(
    example: Example, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, names = example("observatory")
    caplog.set_level(logging.INFO, logger="observatory")
    client.get("/stars/1")
    quick = caplog.messages.copy()
    readings = iter([0.0, 2.0])
    monkeypatch.setitem(
        names.stopwatch.__globals__, "time", SimpleNamespace(perf_counter=lambda: next(readings))
    )

    client.get("/stars/2")

    assert quick == []
    assert caplog.messages == ["GET /stars/2 took 2.0 s"]


def test_observatory_logs_where_the_memory_went(
    example: Example, caplog: pytest.LogCaptureFixture
) -> None:
    client, _ = example("observatory")
    caplog.set_level(logging.INFO, logger="observatory")

    answer = client.get("/charts/300")

    assert len(answer.json()["chart"]) == 300
    assert len(caplog.messages) == 3
    assert "size=" in caplog.messages[0]


def test_observatory_is_healthy_whatever_is_accepted(example: Example) -> None:
    client, _ = example("observatory")

    answer = client.get("/health", headers={"Accept": "image/png"})

    assert answer.status == 200
    assert answer.json() == {"ready": True}
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("line", "status", "secret"),
    [
        ("GET /nights?year=long", 400, b"invalid literal"),
        ("GET /vault", 403, b"1234"),
        ("GET /stars/many", 404, b"many"),
        ("POST /telescope", 409, b"Traceback"),
        ("GET /comet", 500, b"division"),
    ],
)
def test_observatory_answers_failures_without_telling_their_reasons(
    example: Example, line: str, status: int, secret: bytes
) -> None:
    client, _ = example("observatory")

    answer: Any = client.request(*line.split())

    assert answer.status == status
    assert secret not in answer.content


def test_observatory_says_what_an_http_error_has_to_say(example: Example) -> None:
    client, _ = example("observatory")

    assert b"turning already" in client.post("/telescope").content


# ---- policies: who may read answers, and what pages may load -------------------------------

TICKETS = {"Origin": "https://tickets.theatre.example"}
ALLOWED = "Access-Control-Allow-Origin"
CSP = "Content-Security-Policy"


def test_policies_let_the_site_alone_buy_seats(example: Example) -> None:
    client, _ = example("policies")
    asks = {"Access-Control-Request-Method": "PUT"}

    asked = client.options("/seats/hamlet", headers={**TICKETS, **asks})
    booked = client.put("/seats/hamlet", json={"seats": 2}, headers=TICKETS)
    refused = client.options("/seats/hamlet", headers={"Origin": "https://tout.example", **asks})

    assert asked.status == 204
    assert asked.headers["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS, PUT"
    assert booked.headers[ALLOWED] == TICKETS["Origin"]
    assert booked.json() == {"free": 10}
    assert ALLOWED not in refused.headers


@pytest.mark.parametrize(
    ("path", "status", "allowed"),
    [
        ("/plays", 200, TICKETS["Origin"]),
        ("/seats/macbeth", 404, TICKETS["Origin"]),
        ("/stage-door", 200, None),
        ("/pages/hamlet", 200, None),
    ],
)
def test_policies_say_who_may_read_an_answer(
    example: Example, path: str, status: int, allowed: str | None
) -> None:
    client, _ = example("policies")

    answer = client.get(path, headers=TICKETS)

    assert (answer.status, answer.headers.get(ALLOWED)) == (status, allowed)


def test_policies_let_the_script_of_a_page_run_and_no_other(example: Example) -> None:
    client, _ = example("policies")

    pages = [client.get("/pages/hamlet", headers={"Accept": "text/html"}) for _ in range(2)]

    nonces = [page.text.partition('nonce="')[2].partition('"')[0] for page in pages]
    assert all(f"'nonce-{nonces[i]}'" in pages[i].headers[CSP] for i in range(2))
    assert len({*nonces}) == 2


@pytest.mark.parametrize(
    ("path", "policy"),
    [
        ("/previews/big", "default-src 'self'; media-src https://films.theatre.example"),
        (
            "/previews/small",
            "default-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'",
        ),
    ],
)
def test_policies_are_told_by_the_request_where_it_matters(
    example: Example, path: str, policy: str
) -> None:
    client, _ = example("policies")

    assert client.get(path).headers[CSP] == policy
