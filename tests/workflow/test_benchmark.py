"""What the benchmark of preprocessing says of programs whose needs are known."""

import json
import subprocess
import sys
from pathlib import Path

import av

from benchmarks.preprocess import Run, copied, markdown, rows
from tests import clips

HELD = 200  # MiB
CHILD = f"""
import time
held = b"1" * ({HELD} << 20)
while time.process_time() < 0.6:
    pass
time.sleep(0.4)
"""
WATCHER = """
import json, sys
from benchmarks.preprocess import watch
status, run = watch([sys.executable, "-c", *sys.argv[1:]])
print(json.dumps([status, run.peak_mib, run.cpu_seconds, run.seconds]))
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]]); sys.exit(3)"


def test_a_programs_children_count() -> None:
    # Watched from a small program, as in use: a new process starts with the peak of its parent's.
    done = subprocess.run(
        [sys.executable, "-c", WATCHER, PARENT, CHILD], capture_output=True, check=True
    )
    status, peak_mib, cpu_seconds, seconds = json.loads(done.stdout)
    assert status == 3
    assert HELD < peak_mib < HELD + 60
    assert 0.6 <= cpu_seconds < 1.0
    assert seconds >= 1.0


def test_a_repeated_clip_is_as_often_as_long(tmp_path: Path) -> None:
    clip = clips.talking_clip(tmp_path / "clip.mp4", frames=10)
    for times in (1, 3):
        path = copied(clip, tmp_path / f"{times}.mp4", times)
        with av.open(str(path)) as container:
            assert sum(1 for _ in container.decode(video=0)) == 10 * times
    short = copied(clip, tmp_path / "short.mp4", duration=0.2)
    with av.open(str(short)) as container:
        assert 5 <= sum(1 for _ in container.decode(video=0)) < 10


def test_a_stage_that_ran_twice_is_one_row_of_the_table() -> None:
    runs = [Run("a", 0, 2, 3, 100), Run("b", 2, 5, 5, 50), Run("a", 7, 3, 2, 120)]
    table = rows(runs, frames=100, long=[Run("b", 0, 50, 50, 55)])
    assert [row.stage for row in table] == ["a", "b"]
    assert table[0].frames_per_second == 20 and table[0].cpu_ms_per_frame == 50
    assert (table[0].peak_mib, table[0].peak_mib_repeated) == (120, None)
    assert table[1].peak_mib_repeated == 55
    text = markdown(table, frames=100, times=10, cores=2, seconds=8)
    assert "| b | 20 | 5.0 | 5.0 | 50.0 | 50 | 55 |" in text
    assert "One stage after another: 10.0 s, 10.0 frames/s; CPU 10.0 s, 100.0 ms" in text
    assert "8.0 s, 12.5 frames/s" in text
