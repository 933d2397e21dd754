import argparse
from pathlib import Path

import pytest

from perfkit.options import OptionError, Options, add_options, read_options

GOOD = ("--locustfile", __file__)


def read(*words: str) -> Options:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return read_options(parser.parse_args([*GOOD, *words]))


def test_defaults_run_the_application_of_the_repository_for_30_s() -> None:
    options = read()

    assert (options.users, options.rate, options.duration_s) == (20, None, 30)
    assert (options.workers, options.distributed, options.scenarios) == (1, None, ())
    assert (options.app, options.seed) == ("loadtests.app:asgi_app", "loadtests.seed")
    assert options.services


@pytest.mark.parametrize(
    ("text", "seconds"), [("1", 1), ("45", 45), ("30s", 30), ("2m", 120), ("1h", 3600)]
)
def test_a_duration_is_in_seconds_minutes_or_hours(text: str, seconds: int) -> None:
    assert read("--duration", text).duration_s == seconds


@pytest.mark.parametrize(("rate", "users"), [("5", 20), ("150.5", 151), ("10000", 500)])
def test_a_rate_gets_a_second_s_worth_of_users_unless_told_otherwise(rate: str, users: int) -> None:
    assert read("--rate", rate).users == users
    assert read("--rate", rate, "--users", "7").users == 7


def test_scenarios_are_separated_by_commas() -> None:
    assert read("--scenario", "browse, read").scenarios == ("browse", "read")


def test_a_host_of_the_user_s_own_starts_nothing() -> None:
    options = read("--host", "http://127.0.0.1:8000/")

    assert options.host == "http://127.0.0.1:8000"
    assert not options.services
    assert options.seed is None


def test_without_services_no_data_is_prepared_unless_asked() -> None:
    assert read("--no-services").seed is None
    assert read("--no-services", "--seed", "mine.seed").seed == "mine.seed"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--users", "0"), "--users is a whole number from 1 on, not '0'"),
        (("--users=-3",), "--users is a whole number from 1 on, not '-3'"),
        (("--users", "many"), "--users is a whole number from 1 on, not 'many'"),
        (("--rate", "0"), "--rate is a number above 0, not '0'"),
        (("--rate", "nan"), "--rate is a number above 0, not 'nan'"),
        (("--rate", "fast"), "--rate is a number above 0, not 'fast'"),
        (("--duration", "0"), "--duration is whole seconds"),
        (("--duration", "1.5"), "--duration is whole seconds"),
        (("--duration", "2d"), "--duration is whole seconds"),
        (("--workers", "0"), "--workers is a whole number from 1 on, not '0'"),
        (("--distributed", "0"), "--distributed is a whole number from 1 on, not '0'"),
        (("--users", "2", "--distributed", "3"), "--users 2 are too few for --distributed 3"),
        (("--bind", "192.0.2.7"), "--bind is for workers on other machines: it needs"),
        (("--port", "70000"), "--port is at most 65535, not 70000"),
        (("--host", "localhost:8000"), "--host is a URL such as http://127.0.0.1:8000"),
        (("--host", "http://x:99999"), "is not a URL: Port out of range"),
        (("--host", "http://x/api"), "--host is a URL without a path"),
        (("--host", "http://x", "--workers", "2"), "--workers is for a server that is started"),
        (("--scenario", "a,,b"), "--scenario is one name or several with commas"),
        (("--app", "loadtests.app"), "--app is MODULE:ATTRIBUTE"),
        (("--app", "a b:c"), "--app is MODULE:ATTRIBUTE"),
        (("--budgets", "none.toml"), "--budgets none.toml: there is no such file"),
        (("--locustfile", "none.py"), "--locustfile none.py: there is no such file"),
    ],
)
def test_a_wrong_option_is_named_with_what_it_should_be(
    words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(OptionError) as refused:
        read(*words)

    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_report_never_overwrites_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")

    with pytest.raises(OptionError, match="exists and is not an empty folder"):
        read("--output", str(tmp_path))
