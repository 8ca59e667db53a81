"""The study's page, clips and ratings over HTTP, from Python's own server."""

import json
import re
import shutil
import sys
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any

from ssp_nerf.study.session import RefusedError, Session

LARGEST_BODY = 4096  # bytes; a rating takes 200
SILENCE = 60.0  # seconds without a word after which a connection is closed
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
        "img-src data:; frame-ancestors 'none'"
    ),
}


class StudyServer(ThreadingHTTPServer):
    """Serves one study.

    Args:
        address: host and port; port 0: any that is free.
        session: answers.
        clips: a file for each alias.
    """

    daemon_threads = True

    def __init__(self, address: tuple[str, int], session: Session, clips: Mapping[str, Path]):
        self.session, self.clips = session, clips
        self.page = resources.files("ssp_nerf.study").joinpath("page.html").read_bytes()
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of a clip is no error of ours."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # browsers ask for clips in pieces, over one connection
    timeout = SILENCE
    server: StudyServer
    server_version, sys_version = "study", ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", self.server.page)
        elif path == "/api/study":
            self._answer(self.server.session.about)
        elif found := re.fullmatch(r"/api/participants/([0-9a-f]+)", path):
            self._answer(lambda: self.server.session.participant(found[1]))
        elif (found := re.fullmatch(r"/clips/([0-9a-f]+)\.mp4", path)) and (
            clip := self.server.clips.get(found[1])
        ):
            self._send_clip(clip)
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def do_POST(self) -> None:
        session = self.server.session
        try:
            said = self._body()
            if self.path == "/api/participants":
                self._answer(session.join, HTTPStatus.CREATED)
            elif self.path == "/api/ratings":
                self._answer(lambda: session.rate(said))
            else:
                self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")
        except RefusedError as refusal:
            # What was not read of the body would be taken for the next request.
            self.close_connection = True
            self._refuse(refusal.status, str(refusal))

    def _body(self) -> Any:
        """The JSON that was posted.

        Raises:
            RefusedError: it is not JSON, or more than a rating can be.
        """
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "expected a Content-Length")
        if int(length) > LARGEST_BODY:
            raise RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected {LARGEST_BODY} bytes at most"
            )
        # Forms of other sites cannot send this type.
        if self.headers.get_content_type() != "application/json":
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected application/json")
        try:
            return json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "expected JSON") from None

    def _answer(self, ask: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        try:
            self._send(status, "application/json", json.dumps(ask()).encode())
        except RefusedError as refusal:
            self._refuse(refusal.status, str(refusal))
        except OSError as error:
            if isinstance(error, (ConnectionError, TimeoutError)):
                raise
            print(f"error: a rating was not saved: {error}", file=sys.stderr, flush=True)
            self._refuse(HTTPStatus.INSUFFICIENT_STORAGE, "the rating could not be saved")

    def _refuse(self, status: int, why: str) -> None:
        self._send(status, "application/json", json.dumps({"error": why}).encode())

    def _send_clip(self, path: Path) -> None:
        """The file, or the piece of it that is asked for: without pieces, browsers cannot seek."""
        size = path.stat().st_size
        wanted = _piece(self.headers.get("Range", ""), size)
        if wanted is None:
            begin, end, status = 0, size, HTTPStatus.OK
        else:
            (begin, end), status = wanted, HTTPStatus.PARTIAL_CONTENT
        headers = {"Accept-Ranges": "bytes"}
        if begin >= end:
            status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
            self._send(status, "video/mp4", b"", {**headers, "Content-Range": f"bytes */{size}"})
            return
        if status == HTTPStatus.PARTIAL_CONTENT:
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
        self._head(status, "video/mp4", end - begin, headers)
        if self.command == "HEAD":
            return
        with open(path, "rb") as file:
            if (begin, end) == (0, size):
                shutil.copyfileobj(file, self.wfile)
                return
            file.seek(begin)
            while begin < end and (block := file.read(min(1 << 16, end - begin))):
                self.wfile.write(block)
                begin += len(block)

    def _send(
        self, status: int, kind: str, content: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        self._head(status, kind, len(content), headers or {})
        if self.command != "HEAD":
            self.wfile.write(content)

    def _head(self, status: int, kind: str, length: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        for name, value in {**HEADERS, **headers}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, format: str, *values: Any) -> None:
        """Nobody's address or doings are written down."""


def _piece(asked: str, size: int) -> tuple[int, int] | None:
    """Begin and end (past the last byte) of a `Range` header; None: the whole (RFC 9110, 14.2).

    One piece only: who asks for more gets the whole, which is allowed.
    """
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", asked.strip())
    if not found or found[1] == found[2] == "":
        return None
    if not found[1]:  # the last bytes
        return max(0, size - int(found[2])), size
    begin = int(found[1])
    if found[2] and int(found[2]) < begin:
        return None
    return begin, min(size, int(found[2]) + 1 if found[2] else size)
