"""The command line: what each command prints, and how mistakes are told."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from restmachine.__main__ import main
from restmachine.decisions import DIAGRAM
from restmachine.diagram import decision_count

APP = """
from restmachine import ASGIAdapter, RestApplication

app = RestApplication()


@app.resource_exists
def item(item_id):
    return {"1": {"name": "lamp"}}.get(item_id)


@app.get("/items/{item_id}")
def read(item):
    return item


@app.post("/items", blocking=False, max_content=100)
def make(json_body, request):
    return {**json_body, **request.query_params}, 201


@app.get("/fast", bypass_state_machine=True)
async def fast():
    return {}


class Middleware:
    def __init__(self, app):
        self.app = app


asgi_app = Middleware(Middleware(ASGIAdapter(app)))
number = 1
"""

TOTAL = str(decision_count())

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current directory, in which modules may be written and imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    known = set(sys.modules)
    (tmp_path / "shop.py").write_text(APP)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command and return its status and both outputs."""

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            status = main(list(arguments))
        except SystemExit as ended:
            status = int(ended.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_routes_are_listed_with_handler_options_and_decisions(run: Run) -> None:
    status, out, _ = run("routes", "shop:app")

    lines = [line.split() for line in out.splitlines()]
    assert status == 0
    assert lines[0] == ["METHOD", "PATH", "HANDLER", "DECISIONS", "RUNS", "ON", "OPTIONS"]
    assert lines[1] == [
        "GET", "/items/{item_id}", "shop:read", "9", "of", TOTAL, "worker", "thread",
    ]  # fmt: skip
    assert lines[2][-4:] == ["event", "loop", "blocking=False", "max_content=100"]
    assert lines[3] == ["GET", "/fast", "shop:fast", "1", "of", TOTAL, "event", "loop", "bypass"]


def test_routes_as_json_hold_the_same_facts(run: Run) -> None:
    _, out, _ = run("routes", "shop:app", "--json")

    assert json.loads(out)[1] == {
        "method": "POST",
        "path": "/items",
        "handler": "shop:make",
        "decisions": json.loads(out)[1]["decisions"],
        "runs_on": "event loop",
        "options": {"blocking": False, "max_content": 100},
    }


def test_application_without_routes_says_so(run: Run, folder: Path) -> None:
    (folder / "empty.py").write_text("import restmachine\napp = restmachine.RestApplication()\n")

    assert run("routes", "empty:app") == (0, "There are no routes yet.\n", "")


def test_application_is_found_inside_its_middleware(run: Run) -> None:
    assert run("routes", "shop:asgi_app") == run("routes", "shop:app")


def test_diagram_goes_to_standard_output(run: Run) -> None:
    status, out, _ = run("diagram")

    assert status == 0
    assert out.startswith("<svg ")
    assert all(f'id="{id}"' in out for id in DIAGRAM)


def test_diagram_is_written_into_a_new_folder_in_both_formats(run: Run, folder: Path) -> None:
    status, out, _ = run("diagram", "--output", "docs")

    assert (status, out) == (0, "wrote docs/decisions.svg\nwrote docs/decisions.mmd\n")
    assert (folder / "docs" / "decisions.svg").read_text().startswith("<svg ")
    assert "flowchart" in (folder / "docs" / "decisions.mmd").read_text()


def test_suffix_of_the_output_chooses_the_format(run: Run, folder: Path) -> None:
    run("diagram", "--output", "one.mmd")

    assert "flowchart" in (folder / "one.mmd").read_text()


def test_diagram_of_one_route_is_named_after_it(run: Run) -> None:
    _, out, _ = run("diagram", "shop:app", "get", "/items/1", "--output", ".", "--format", "svg")

    assert out == "wrote GET-items-item-id.svg\n"


def test_route_may_be_given_by_its_template(run: Run) -> None:
    by_path = run("diagram", "shop:app", "GET", "/items/1", "--format", "mermaid")
    by_template = run("diagram", "shop:app", "GET", "/items/{item_id}", "--format", "mermaid")

    assert by_path == by_template
    assert by_path[1].startswith("---\ntitle: 'GET /items/{item_id}: 9 of ")


def test_explanation_runs_a_request_with_fields_query_and_content(run: Run) -> None:
    status, out, _ = run(
        "explain", "shop:app", "post", "/items?size=2",
        "-H", "Content-Type: application/json", "-d", '{"name": "lamp"}',
    )  # fmt: skip

    assert status == 0
    assert "request: Content-Type: application/json" in out
    assert "request: Content-Length: 16; at most 100" in out
    assert "\n201 Created\n" in out
    assert "\ncontent-length: 26\n" in out  # {"name":"lamp","size":"2"}


def test_path_is_decoded_and_an_empty_field_may_be_sent(run: Run) -> None:
    _, out, _ = run("explain", "shop:app", "GET", "/items/%31", "-H", "If-Match:")

    assert out.startswith("GET /items/1 belongs to")
    assert "request: If-Match: \n" in out or "request: If-Match:\n" in out


@pytest.mark.filterwarnings("default::restmachine.ConfigurationWarning")
def test_configuration_warning_is_one_line(run: Run, folder: Path) -> None:
    (folder / "idle.py").write_text(
        "import restmachine\napp = restmachine.RestApplication()\n"
        "@app.authorized\ndef known(request): return True\n"
    )

    status, _, err = run("routes", "idle:app")

    assert status == 0
    assert err.startswith("restmachine: warning: No route reaches the authorized function")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("routes shop", '"shop" names no application; write module:attribute'),
        ("routes nowhere:app", 'there is no module "nowhere"; run this where nowhere.py is'),
        ("routes shop:ap", 'the module "shop" has no "ap"; it has "app"'),
        ("routes shop:number", "shop:number is an int, not a RestApplication"),
        ("routes shop:Middleware", "shop:Middleware is the class Middleware, not a Rest"),
        ("explain shop:app BREW /items/1", '"BREW" is no method of HTTP; use one of CONNECT'),
        ("explain shop:app GET items/1", 'the path "items/1" must begin with /'),
        ("explain shop:app GET /items/1 -H If-Match", "-H 'If-Match' is no header field; write"),
        ("diagram shop:app", "a route is drawn by its method and path: diagram module:attr"),
        ("diagram shop:app GET /nowhere", 'no route of shop:app matches "/nowhere"; see routes'),
        ("diagram --output x.png", "x.png should end in .svg or .mmd, or be a folder"),
        ("diagram --output x.svg --format mermaid", "x.svg should end in .mmd, or be a folder"),
        ("diagram --output shop.py/x", "cannot write shop.py/x/decisions.svg: "),
        ("serve shop:number", "shop:number is an int, not an ASGI application"),
        ("serve shop:app --config none.py", "there is no settings file none.py"),
    ],
)
def test_mistake_is_told_in_one_line(run: Run, arguments: str, message: str) -> None:
    status, out, err = run(*arguments.split())

    assert (status, out) == (1, "")
    assert err.startswith(f"restmachine: {message}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    ["", "explode", "routes", "diagram --format png", "serve shop:app --port 70000",
     "serve shop:app --workers 0", "explain shop:app GET"],
)  # fmt: skip
def test_wrong_option_is_told_in_one_line(run: Run, arguments: str) -> None:
    status, out, err = run(*arguments.split())

    assert (status, out) == (1, "")
    assert err.startswith("python -m restmachine")
    assert err.endswith("--help\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\ny = nonsense\n", "broken.py:2: NameError: name 'nonsense' is not defined"),
        ("def f(:\n", "broken.py:1: SyntaxError: invalid syntax"),
        ("import absent_thing\n", "broken.py:1: ModuleNotFoundError: No module named"),
        ("raise SystemExit('no')\n", "broken.py:1: SystemExit: no"),
        (
            "import restmachine as r\napp = r.RestApplication()\napp.get('/{a')\n",
            'broken.py:3: ConfigurationError: In the path "/{a"',
        ),
    ],
)
def test_module_that_fails_is_told_with_file_and_line(
    run: Run, folder: Path, source: str, message: str
) -> None:
    (folder / "broken.py").write_text(source)

    status, _, err = run("routes", "broken:app")

    assert status == 1
    assert err.startswith(f"restmachine: broken cannot be imported: {message}")
    assert err.count("\n") == 1


def test_mistake_in_the_configuration_is_told_by_the_framework(run: Run, folder: Path) -> None:
    (folder / "wrong.py").write_text(
        "import restmachine\napp = restmachine.RestApplication()\n"
        "@app.get('/x')\ndef handler(itme): return 1\n"
    )

    status, _, err = run("explain", "wrong:app", "GET", "/x")

    assert status == 1
    assert err.startswith('restmachine: GET /x ("handler") asks for "itme", which nothing')
    assert err.count("\n") == 1


def test_reader_that_leaves_early_gets_no_traceback(folder: Path) -> None:
    command = [sys.executable, "-m", "restmachine", "diagram"]

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()

    assert (process.returncode, err) == (1, b"")
