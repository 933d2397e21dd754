"""The link has the latency and the rate that it was asked for, and changes no byte."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from perfkit.claims.link import Links
from perfkit.claims.parts import Session


@pytest.fixture(scope="module")
def links() -> Iterator[Links]:
    with Session() as session:
        yield Links(session.settings(["link"])["link"])


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    """Serve a port that sends back whatever it gets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve_echo, args=[listener], daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def serve_echo(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=send_back, args=[connection], daemon=True).start()


def send_back(connection: socket.socket) -> None:
    with connection:
        while data := connection.recv(65536):
            connection.sendall(data)


@contextmanager
def connected(address: tuple[str, int]) -> Iterator[socket.socket]:
    with closing(socket.create_connection(address, timeout=20)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def fetched(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        received += connection.recv(65536)
    return received


def round_trip(connection: socket.socket) -> float:
    started = time.perf_counter()
    connection.sendall(b"x")
    fetched(connection, 1)
    return time.perf_counter() - started


@pytest.mark.parametrize("round_trip_s", [0.004, 0.05])
def test_a_round_trip_takes_as_long_as_asked_for(
    links: Links, echo: int, round_trip_s: float
) -> None:
    with (
        links.to("127.0.0.1", echo, round_trip_s=round_trip_s) as address,
        connected(address) as connection,
    ):
        quickest = min(round_trip(connection) for _ in range(20))

    # Never sooner; how much later is the machine's doing, and the least of twenty has little.
    assert round_trip_s <= quickest < round_trip_s + 0.02


def test_bytes_take_the_time_that_the_rate_allows(links: Links, echo: int) -> None:
    size, rate = 100_000, 500_000
    with (
        links.to("127.0.0.1", echo, bytes_per_s=rate) as address,
        connected(address) as connection,
    ):
        started = time.perf_counter()
        connection.sendall(b"x" * size)
        fetched(connection, size)
        elapsed = time.perf_counter() - started

    assert size / rate <= elapsed < 3 * size / rate


def test_every_byte_arrives_in_its_order(links: Links, echo: int) -> None:
    sent = bytes(range(256)) * 1000
    with (
        links.to("127.0.0.1", echo, round_trip_s=0.002, bytes_per_s=1e7) as address,
        connected(address) as connection,
    ):
        connection.sendall(sent)
        received = fetched(connection, len(sent))

    assert received == sent


def test_connections_share_the_rate_of_a_link(links: Links, echo: int) -> None:
    size, rate = 50_000, 500_000
    with (
        links.to("127.0.0.1", echo, bytes_per_s=rate) as address,
        connected(address) as one,
        connected(address) as other,
    ):
        started = time.perf_counter()
        one.sendall(b"x" * size)
        other.sendall(b"x" * size)
        fetched(one, size)
        fetched(other, size)
        elapsed = time.perf_counter() - started

    assert elapsed >= 2 * size / rate


def test_the_end_of_one_side_reaches_the_other(links: Links, echo: int) -> None:
    with links.to("127.0.0.1", echo) as address, connected(address) as connection:
        connection.shutdown(socket.SHUT_WR)

        assert connection.recv(1) == b""


def test_a_link_is_gone_after_its_block(links: Links, echo: int) -> None:
    with links.to("127.0.0.1", echo) as address:
        pass

    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and refuses(address) is False:
        time.sleep(0.01)

    assert refuses(address)


def refuses(address: tuple[str, int]) -> bool:
    try:
        with closing(socket.create_connection(address, timeout=5)):
            return False
    except ConnectionError:
        return True


def test_a_url_keeps_all_but_its_address(links: Links, echo: int) -> None:
    with links.to_url(f"postgresql://me:secret@127.0.0.1:{echo}/db?x=1") as url:
        pass

    assert url.startswith("postgresql://me:secret@127.0.0.1:")
    assert url.endswith("/db?x=1")
    assert f":{echo}/" not in url
