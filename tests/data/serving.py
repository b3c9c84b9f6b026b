"""A mirror on this machine that serves, or misbehaves as real ones do."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HTML = b"<!DOCTYPE html><html><body>Please log in</body></html>"


class Mirror:
    """What the server holds by path, how it behaves, and which paths it was asked for."""

    def __init__(self, files: dict[str, bytes], behaviour: str) -> None:
        self.files, self.behaviour = files, behaviour
        self.asked: list[str] = []
        self.kind = "text/html"
        self.url = ""


HEAD = b"HTTP/1.1 200 OK\r\n"
REDIRECT = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n"
ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "trickles headers": (HEAD + b"X-A: ", b"a"),
    "trickles many headers": (HEAD, b"X-A: a\r\n"),
    "trickles sizes of chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "is fast and then trickles": (HEAD + b"\r\n" + bytes(300_000), b"a"),
    "never ends": (HEAD + b"\r\n", bytes(2**16)),
    "never ends, in chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + bytes(2**16) + b"\r\n"),
    "claims much": (HEAD + b"Content-Length: 1000000000000\r\n\r\n", bytes(2**16)),
    "never ends a redirection": (REDIRECT, bytes(2**16)),
}
"""What a server sends at first, and then again and again."""


def _respond_forever(handler: BaseHTTPRequestHandler, start: bytes, more: bytes, stop: threading.Event) -> None:
    handler.wfile.write(start)
    while not stop.wait(0.02 if len(more) < 100 else 0):
        handler.wfile.write(more)


def _respond(handler: BaseHTTPRequestHandler, mirror: Mirror, stop: threading.Event) -> None:
    path = handler.path.lstrip("/")
    mirror.asked.append(path)
    body = mirror.files.get(path)
    if mirror.behaviour in ENDLESS and path != "elsewhere":
        _respond_forever(handler, *ENDLESS[mirror.behaviour], stop)
        return
    if mirror.behaviour == "hangs":
        stop.wait(20)
        return
    if mirror.behaviour == "hangs up":
        return
    if mirror.behaviour == "fails once" and len(mirror.asked) == 1:
        handler.send_error(503)
        return
    if body is None:
        handler.send_error(404)
        return
    body = {"html": HTML, "wrong": b"x" + body[1:], "empty": b""}.get(mirror.behaviour, body)
    handler.send_response(200)
    handler.send_header("Content-Type", mirror.kind)
    handler.send_header("Content-Length", str(len(body)))
    if mirror.behaviour == "mislabelled":
        handler.send_header("Content-Encoding", "gzip")
    handler.end_headers()
    if mirror.behaviour == "trickles":
        for byte in body:
            handler.wfile.write(bytes([byte]))
            if stop.wait(0.1):
                return
    else:
        handler.wfile.write(body[: len(body) // 2] if mirror.behaviour == "truncated" else body)


@contextmanager
def serving(files: dict[str, bytes], behaviour: str = "good") -> Iterator[Mirror]:
    mirror, stop = Mirror(files, behaviour), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _respond(self, mirror, stop)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *args: None
    mirror.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield mirror
    finally:
        stop.set()
        server.shutdown()
        server.server_close()
        thread.join()


def refused_url() -> str:
    """An address on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"
