"""The server over real HTTP: what it gives, what it takes, what it refuses, and being killed."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ssp_nerf.study import __main__ as command
from ssp_nerf.study.ratings import RatingsFile, read_ratings
from ssp_nerf.study.server import LARGEST_BODY
from tests.ssp_nerf.study.conftest import GOOD, Client, served

JSON = "application/json"


def test_a_participant_rates_every_clip(client, study, ratings):
    about = client.get("/api/study")
    assert [q["title"] for q in about["questions"]] == [
        "Lip-sync Accuracy", "Video Realness", "Image Quality"
    ]  # fmt: skip
    assert about["scale"] == ["bad", "poor", "fair", "good", "excellent"] and about["clips"] == 3
    name, order = client.join()
    for number, clip in enumerate(order, start=1):
        assert client.rate(name, clip, GOOD) == (200, {"rated": number, "of": 3})
    saved = read_ratings(ratings)
    assert [row.position for row in saved] == [1, 2, 3]
    assert [(row.method, row.clip) for row in saved] == [
        (study.clips[clip].method, study.clips[clip].name) for clip in order
    ]
    assert {row.participant for row in saved} == {name}
    assert all(row.answers == GOOD for row in saved)


def test_nothing_that_is_served_tells_a_method(client, copies):
    name, order = client.join()
    paths = ["/", "/api/study", f"/api/participants/{name}"]
    for path in [*paths, *(f"/clips/{clip}.mp4" for clip in order)]:
        status, headers, content = client.ask("GET", path)
        assert status == 200
        assert "secret" not in str(headers) and b"secret" not in content
        assert not {"last-modified", "etag", "content-disposition"} & set(headers)


def test_who_comes_back_goes_on_even_after_a_restart(study, copies, ratings):
    with served(study, copies, ratings) as client:
        name, order = client.join()
        client.rate(name, order[0], GOOD)
        before = client.get(f"/api/participants/{name}")
        assert [clip["rated"] for clip in before["clips"]] == [True, False, False]
    with served(study, copies, ratings) as client:
        assert client.get(f"/api/participants/{name}") == before
        assert client.rate(name, order[1], GOOD) == (200, {"rated": 2, "of": 3})


def test_the_same_rating_again_is_as_good_as_once(client, ratings):
    """The answer was lost on its way, and the page asks again."""
    name, order = client.join()
    assert client.rate(name, order[0], GOOD) == client.rate(name, order[0], GOOD)
    assert client.rate(name, order[0], {**GOOD, "image_quality": 1})[0] == 409
    assert len(read_ratings(ratings)) == 1


def test_many_participants_at_once(client, ratings):
    def take_part():
        name, order = client.join()
        for clip in order:
            assert client.rate(name, clip, GOOD)[0] == 200
        done.append(name)

    done: list[str] = []
    threads = [threading.Thread(target=take_part) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(set(done)) == 8
    saved = read_ratings(ratings)
    assert sorted(row.participant for row in saved) == sorted(done * 3)


BAD_RATINGS = {
    "too high": {**GOOD, "image_quality": 6},
    "too low": {**GOOD, "image_quality": 0},
    "a fraction": {**GOOD, "image_quality": 3.5},
    "a text": {**GOOD, "image_quality": "4"},
    "true": {**GOOD, "image_quality": True},
    "nothing": {**GOOD, "image_quality": None},
    "one left out": {"image_quality": 4},
    "one more": {**GOOD, "beauty": 4},
    "a list": [4, 4, 4],
    "none": {},
}


@pytest.mark.parametrize("problem", BAD_RATINGS)
def test_ratings_off_the_scale_are_refused(client, ratings, problem):
    name, order = client.join()
    status, said = client.rate(name, order[0], BAD_RATINGS[problem])
    assert status == 400 and said["error"]
    assert ratings.read_bytes() == b""


@pytest.mark.parametrize("clip", ["0" * 16, "../../etc/passwd", "", None, 3, ["a"], {}])
def test_ratings_of_unknown_clips_are_refused(client, ratings, clip):
    name, _ = client.join()
    assert client.rate(name, clip, GOOD)[0] == 404
    assert ratings.read_bytes() == b""


@pytest.mark.parametrize("name", ["0" * 32, "", None, 3, "=cmd()", "a,b\nc", []])
def test_ratings_of_unknown_participants_are_refused(client, ratings, name):
    _, order = client.join()
    assert client.rate(name, order[0], GOOD)[0] == 404
    assert ratings.read_bytes() == b""


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"not json", JSON, 400),
        (b"\xff\xfe", JSON, 400),
        (b"[" * 4000, JSON, 400),
        (b"[]", JSON, 400),
        (b'{"participant": "x"}', JSON, 400),
        (b"{}", "text/plain", 415),
        (b"a=b", "application/x-www-form-urlencoded", 415),
        (b"x" * (LARGEST_BODY + 1), JSON, 413),
    ],
)
def test_a_body_of_another_form_is_refused(client, ratings, body, kind, status):
    got, headers, content = client.ask("POST", "/api/ratings", body, Content_Type=kind)
    assert got == status and json.loads(content)["error"] and headers["content-type"] == JSON
    assert ratings.read_bytes() == b""


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("POST /api/ratings HTTP/1.1\r\nHost: a\r\n\r\n", 411),
        ("POST /api/ratings HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n", 411),
        ("POST /api/ratings HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 413),
        ("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    ],
)
def test_a_request_that_lies_about_its_length_is_answered_at_once(client, head, status):
    with socket.create_connection(("127.0.0.1", client.port), timeout=5) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize(
    "path",
    [
        "/clips/../ratings.csv", "/../../etc/passwd", "/clips/%2e%2e/%2e%2e/etc/passwd",
        "/clips/0000000000000000.mp4", "//etc/passwd", "/page.html", "/api", "/api/participants/0",
        "/api/participants/../study", "/clips/", "/ratings.csv",
    ],
)  # fmt: skip
def test_there_is_nothing_else_to_get(client, path):
    status, _, content = client.ask("GET", path)
    assert status == 404 and json.loads(content) and b"root:" not in content


@pytest.mark.parametrize(
    ("asked", "begin", "end"),
    [
        ("bytes=0-", 0, None),
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=100-99999999", 100, None),
        ("bytes=-50", -50, None),
        ("bytes=-99999999", 0, None),
    ],
)
def test_a_piece_of_a_clip_is_given_for_seeking(client, copies, asked, begin, end):
    alias, path = next(iter(copies.items()))
    whole = path.read_bytes()
    expected = whole[begin:end]
    status, headers, content = client.ask("GET", f"/clips/{alias}.mp4", Range=asked)
    assert (status, content) == (206, expected)
    first = whole.index(expected) if begin else 0
    size = len(whole)
    assert headers["content-range"] == f"bytes {first}-{first + len(expected) - 1}/{size}"
    assert headers["content-type"] == "video/mp4" and headers["accept-ranges"] == "bytes"
    head = client.ask("HEAD", f"/clips/{alias}.mp4", Range=asked)
    assert head[0] == 206 and head[2] == b"" and int(head[1]["content-length"]) == len(expected)


@pytest.mark.parametrize(
    ("asked", "status"),
    [("", 200), ("bytes=5-4", 200), ("bytes=a-b", 200), ("bytes=0-1,4-5", 200),
     ("bytes=99999999-", 416), ("bytes=-0", 416)],
)  # fmt: skip
def test_other_ranges_give_the_whole_or_are_refused(client, copies, asked, status):
    alias, path = next(iter(copies.items()))
    got, headers, content = client.ask("GET", f"/clips/{alias}.mp4", Range=asked)
    assert got == status
    assert content == (path.read_bytes() if status == 200 else b"")
    if status == 416:
        assert headers["content-range"] == f"bytes */{path.stat().st_size}"


def test_a_rating_that_could_not_be_saved_is_not_acknowledged(client, ratings, monkeypatch, capsys):
    name, order = client.join()

    def full(self, rating):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(RatingsFile, "add", full)
        status, said = client.rate(name, order[0], GOOD)
    assert status == 507 and "could not be saved" in said["error"]
    assert "no space left" in capsys.readouterr().err
    assert client.rate(name, order[0], GOOD)[0] == 200  # asked again, with room


class Program:
    """`serve` as a program of its own."""

    def __init__(self, videos: list[str], ratings: Path):
        command = [sys.executable, "-m", "ssp_nerf.study", "serve", "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--clips", *videos, "--ratings", str(ratings)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout
        self.process.stdout.readline()
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        assert found, self.process.communicate()
        self.client = Client(int(found[1]))

    def end(self, how: int) -> tuple[int, str]:
        self.process.send_signal(how)
        _, said = self.process.communicate(timeout=20)
        return self.process.returncode, said


def test_a_killed_server_loses_nothing_that_it_acknowledged(videos, ratings):
    program = Program(videos, ratings)
    name, order = program.client.join()
    program.client.rate(name, order[0], GOOD)
    acknowledged = [name]

    def take_part():
        while True:
            try:
                other, clips = program.client.join()
                if program.client.rate(other, clips[0], GOOD)[0] == 200:
                    acknowledged.append(other)
            except OSError:
                return

    threads = [threading.Thread(target=take_part) for _ in range(4)]
    [thread.start() for thread in threads]
    while len(acknowledged) < 20:
        pass
    program.end(signal.SIGKILL)
    [thread.join() for thread in threads]
    saved = {row.participant for row in read_ratings(ratings)}
    assert saved >= set(acknowledged)

    again = Program(videos, ratings)  # with the seed that was kept
    clips = again.client.get(f"/api/participants/{name}")["clips"]
    assert [clip["clip"] for clip in clips] == order
    assert [clip["rated"] for clip in clips] == [True, False, False]
    code, said = again.end(signal.SIGTERM)
    assert code == 143 and "Traceback" not in said
    assert {row.participant for row in read_ratings(ratings)} == saved


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "nothing to rate"),
        (["--clips", "m=nothing.mp4", "n=nothing.mp4"], "does not exist"),
        (["--study", "nothing.yaml"], "does not exist"),
    ],
)
def test_a_study_of_nothing_is_refused(ratings, capsys, flags, words):
    with pytest.raises(SystemExit) as stop:
        command.main(["serve", "--ratings", str(ratings), *flags])
    assert stop.value.code == 2
    assert words in capsys.readouterr().err and not ratings.exists()


def test_a_taken_port_is_refused(client, videos, tmp_path, capsys):
    ratings = tmp_path / "others.csv"
    flags = ["--clips", *videos, "--ratings", str(ratings), "--port", str(client.port)]
    with pytest.raises(SystemExit) as stop:
        command.main(["serve", *flags])
    assert stop.value.code == 2
    assert f"--port {client.port}: " in capsys.readouterr().err and not ratings.exists()


def test_an_address_for_everybody_is_warned_of(videos, ratings, monkeypatch, capsys):
    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(command.StudyServer, "serve_forever", interrupted)
    flags = ["--clips", *videos, "--ratings", str(ratings), "--port", "0", "--address", "0.0.0.0"]
    command.main(["serve", *flags])
    said = capsys.readouterr()
    assert "nothing is encrypted" in said.err and "0 ratings" in said.out
