import socket

import pytest

from perfkit.server import PortInUseError, choose_port, ending


def test_a_port_is_chosen_that_nobody_uses() -> None:
    port = choose_port(None)

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))


def test_a_port_that_was_asked_for_is_kept_when_free() -> None:
    port = choose_port(None)

    assert choose_port(port) == port


def test_a_port_in_use_is_refused_by_number() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(PortInUseError, match=f"cannot use port {port} "):
            choose_port(port)


def test_an_ending_tells_a_signal_from_a_status() -> None:
    assert ending(-9) == "killed by signal 9"
    assert ending(3) == "exit status 3"
