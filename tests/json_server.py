"""An HTTP server on this machine that answers in JSON: what doubles of a cluster's servers stand on."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[str, str, Any, str | None], tuple[int, Any]]
"""Method, path, body and header `Authorization` of a request → HTTP status and body: text as it is, else JSON.

The path is without its query, unless the server is to give it; a body that is no JSON is given as bytes.
"""


@contextmanager
def json_server(answer: Answer, with_query: bool = False) -> Iterator[str]:
    """Serve, and give the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # a following asks a thousand times: one connection is enough,
        wbufsize = 1 << 16  # and an answer in one piece, which waits for no acknowledgement

        def _serve(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            is_json = "json" in self.headers.get("Content-Type", "json")
            body = (json.loads(data) if is_json else data) if data else None
            path = self.path if with_query else self.path.partition("?")[0]
            status, given = answer(self.command, path, body, self.headers.get("Authorization"))
            text = given.encode() if isinstance(given, str) else json.dumps(given).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(given, str) else "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_DELETE = _serve

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
