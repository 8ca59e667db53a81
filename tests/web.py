"""A web server on this machine, for what fetches."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Web:
    """Files by name, and what goes wrong.

    Attributes:
        address: without a slash at the end.
        files: what it has.
        asked: names that were asked for, in order.
        failures: so many answers to come are "503 Service Unavailable".
        cut: the connection ends this many bytes before the end of a file.
    """

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    failures: int = 0
    cut: int = 0


@contextmanager
def serving() -> Iterator[Web]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.removeprefix("/")
            web.asked.append(name)
            if web.failures:
                web.failures -= 1
                self.send_error(503)
            elif name not in web.files:
                self.send_error(404)
            else:
                content = web.files[name]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) - web.cut])

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web = Web(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))  # polls in seconds
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
