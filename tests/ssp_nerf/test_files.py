"""Outputs are whole or absent; a file of the road is checked when it is opened."""

import errno
import fcntl
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from ssp_nerf.errors import InputError
from ssp_nerf.files import SCRATCH_PREFIX, require_file, whole_output
from ssp_nerf.schema import PARSING

SIZES = {"N": 3, "H": 4, "W": 5}


def write_parsing(path):
    with PARSING.create(path, SIZES, {"parser": "mesh"}, {"a": 1}) as file:
        file["parsing"][...] = np.arange(60).reshape(3, 4, 5)
    return path


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), whole_output(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]


def test_a_folder_replaces_a_folder(tmp_path):
    for content in ("one", "two"):
        with whole_output(tmp_path / "bundle") as partial:
            partial.mkdir()
            (partial / content).touch()
    assert [p.name for p in (tmp_path / "bundle").iterdir()] == ["two"]


def test_a_layout_gives_back_what_was_written_and_the_same_bytes(tmp_path):
    one, two = write_parsing(tmp_path / "1.h5"), write_parsing(tmp_path / "2.h5")
    arrays, attributes = PARSING.read(one)
    assert np.array_equal(arrays["parsing"], np.arange(60).reshape(3, 4, 5))
    assert attributes["parser"] == "mesh" and attributes["config"] == '{"a": 1}'
    assert one.read_bytes() == two.read_bytes()


def test_an_interrupted_layout_leaves_nothing(tmp_path):
    with (
        pytest.raises(KeyboardInterrupt),
        PARSING.create(tmp_path / "x.h5", SIZES, {"parser": "mesh"}, {}),
    ):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def corrupt_kind(file):
    file.attrs["kind"] = "frames"


def corrupt_version(file):
    file.attrs["schema_version"] = 99


def corrupt_array(file):
    del file["parsing"]


def corrupt_type(file):
    del file["parsing"]
    file["parsing"] = np.zeros((3, 4, 5), np.float32)


def corrupt_attribute(file):
    del file.attrs["parser"]


@pytest.mark.parametrize(
    "corrupt", [corrupt_kind, corrupt_version, corrupt_array, corrupt_type, corrupt_attribute]
)
def test_a_file_that_is_something_else_is_refused_by_name(tmp_path, corrupt):
    path = write_parsing(tmp_path / "x.h5")
    with h5py.File(path, "r+") as file:
        corrupt(file)
    with pytest.raises(InputError, match=r"x\.h5") as error, PARSING.open(path):
        pass
    assert "parse_frames" in str(error.value)


@pytest.mark.parametrize("content", [b"", b"not hdf5"])
def test_a_damaged_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "x.h5"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.h5"), PARSING.open(path):
        pass


def test_a_truncated_file_is_refused_by_name(tmp_path):
    path = write_parsing(tmp_path / "x.h5")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"x\.h5"), PARSING.open(path):
        pass


def test_require_file_says_what_was_expected(tmp_path):
    with pytest.raises(InputError, match="expected a video, but it does not exist. Do this."):
        require_file(tmp_path / "x", "a video", "Do this.")
    with pytest.raises(InputError, match="is not a file"):
        require_file(tmp_path, "a video")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_asked_to_end_clears_away_what_it_began(tmp_path, number):
    """SIGTERM is how schedulers end a job; Python would die of it without any clean-up."""
    program = f"""
import signal, time
from argparse import ArgumentParser
from pathlib import Path
from ssp_nerf import cli
from ssp_nerf.files import whole_output

def command(options):
    with whole_output(Path({str(tmp_path / "x.txt")!r})) as partial:
        partial.write_text("half")
        print("begun", flush=True)
        time.sleep(60)

signal.signal(signal.SIGINT, signal.default_int_handler)  # also in a shell's background
cli.run(ArgumentParser(), command, [])
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"begun\n"
        assert len(list(tmp_path.iterdir())) == 1
        process.send_signal(number)
        _, error = process.communicate()
    assert process.returncode == 128 + number
    assert b"Traceback" not in error
    assert list(tmp_path.iterdir()) == []


WRITER = """
import sys, time
from pathlib import Path
from ssp_nerf.files import whole_output

path, text = Path(sys.argv[1]), sys.argv[2]
with whole_output(path) as partial:
    if path.suffix:
        partial.write_text(text[: len(text) // 2])
    else:
        partial.mkdir()
        (partial / "a").write_text(text)
    print("begun", flush=True)
    sys.stdin.readline()
    if path.suffix:
        partial.write_text(text)
    else:
        (partial / "b").write_text(text)
"""


def writer(path: Path, text: str) -> subprocess.Popen:
    """A program that has half written `path`, and ends after a line of input."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, path, text], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"begun\n"
    return process


def contents(path: Path) -> str:
    if path.is_dir():
        return "+".join(file.read_text() for file in sorted(path.iterdir()))
    return path.read_text()


@pytest.mark.parametrize("name", ["x.txt", "folder"])
def test_of_two_writers_each_leaves_what_is_whole(tmp_path, name):
    """... whichever began first, and whether there was an older output."""
    path = tmp_path / name
    whole = "{0}+{0}" if name == "folder" else "{}"
    for order in (0, 1), (1, 0):
        writers = [writer(path, text) for text in ("first", "second")]
        assert len(list(tmp_path.glob(".*"))) == 2
        for number in order:
            writers[number].communicate(b"\n")
            assert writers[number].returncode == 0
            assert contents(path) == whole.format(("first", "second")[number])
        assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["x.txt", "folder"])
def test_what_a_killed_run_left_is_cleared_by_the_next(tmp_path, name):
    """... of any output beside it, but not what another is still writing."""
    killed, living = writer(tmp_path / name, "killed"), writer(tmp_path / "y.txt", "living")
    killed.kill()
    killed.communicate()
    assert len(list(tmp_path.glob(".*"))) == 2
    with whole_output(tmp_path / "z.txt") as partial:
        assert len(list(tmp_path.glob(".*"))) == 2  # the living one's, and this one
        partial.write_text("whole")
    living.communicate(b"\n")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["y.txt", "z.txt"]


def test_without_locks_whatever_may_be_in_use_stays(tmp_path, monkeypatch):
    """Some file systems of clusters know none."""

    def unsupported(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    (tmp_path / f"{SCRATCH_PREFIX}abc").mkdir()
    with whole_output(tmp_path / "x.txt") as partial:
        partial.write_text("whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{SCRATCH_PREFIX}abc", "x.txt"]


def test_what_was_killed_before_it_was_locked_is_cleared_too(tmp_path):
    (tmp_path / f"{SCRATCH_PREFIX}abc").mkdir()
    with whole_output(tmp_path / "x.txt") as partial:
        partial.write_text("whole")
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]


def test_an_error_of_the_system_is_one_line(tmp_path):
    program = "from argparse import ArgumentParser; from ssp_nerf import cli; "
    program += f"cli.run(ArgumentParser(), lambda o: open({str(tmp_path)!r}, 'w'), [])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
