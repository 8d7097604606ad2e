"""The proxy with which connections are broken on the way."""

import socket
import socketserver
import threading
from collections.abc import Iterator

import pytest

from verify.tcp_proxy import HOST, Mode, TcpProxy


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(100):
            self.request.sendall(data)


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets; its port."""
    with socketserver.ThreadingTCPServer((HOST, 0), Echo) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def connect(proxy: TcpProxy, seconds: float = 5) -> socket.socket:
    return socket.create_connection((HOST, proxy.port), seconds)


def ask(link: socket.socket, text: bytes) -> bytes:
    try:
        link.sendall(text)
        return link.recv(100)
    except TimeoutError:
        return b"(nothing)"
    except ConnectionError:
        return b""


def test_it_passes_on_holds_mutes_and_cuts(echo: int) -> None:
    with TcpProxy(echo) as proxy, connect(proxy, 0.3) as link:
        assert ask(link, b"open") == b"open"
        proxy.set(Mode.HELD)
        assert ask(link, b"held") == b"(nothing)"
        assert proxy.held_clients == {link.getsockname()[1]}
        proxy.set(Mode.OPEN)
        assert link.recv(100) == b"held"
        proxy.set(Mode.MUTE)
        assert ask(link, b"mute") == b"(nothing)"
        assert proxy.received == b"openheldmute"
        proxy.set(Mode.CUT)
        assert ask(link, b"cut") == b""


@pytest.mark.parametrize("mode", [Mode.CUT, Mode.MUTE])
def test_what_was_held_is_lost_unless_it_opens_again(echo: int, mode: Mode) -> None:
    with TcpProxy(echo) as proxy, connect(proxy, 0.3) as link:
        proxy.set(Mode.HELD)
        assert ask(link, b"held") == b"(nothing)"
        proxy.set(mode)
        proxy.set(Mode.OPEN)
        assert link.recv(100) == b""


def test_it_leads_elsewhere(echo: int) -> None:
    with TcpProxy() as proxy:
        with connect(proxy) as link:
            assert ask(link, b"nowhere") == b""
        proxy.lead_to(echo)
        with connect(proxy) as link:
            assert ask(link, b"there") == b"there"
