"""The estimate follows from its table: what it grows with, and what it says where things lack."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.scaling import Row
from benchmarks.scaling_fit import compared, fitted, read_rows
from ssp_nerf.config import ModelConfig
from ssp_nerf.estimate import __main__ as command
from ssp_nerf.estimate.clips import Clip, Subject, subjects_of
from ssp_nerf.estimate.costs import costs
from ssp_nerf.estimate.plan import Machine, Plan, estimated, jobs_of, plan
from ssp_nerf.estimate.words import lines_of, rough, size
from ssp_nerf.estimate.work import Job, ray_gflop
from ssp_nerf.model import Level, Scene
from ssp_nerf.video import write_video

ROOT = Path(__file__).resolve().parents[3]
MACHINE = Machine(cores=2, gpus=0, memory_mib=16_000, free_bytes=1e15)
MINUTE = 60.0


def needs(
    minutes: float = 1.0,
    subjects: int = 1,
    speeches: int = 1,
    machine: Machine = MACHINE,
    **changes,
) -> Plan:
    """Needs of subjects with videos that need not be there, and a config with some changes."""
    config = command.read_config([ROOT / "config" / "demo.yaml"])
    for section, values in changes.items():
        config[section] = {**config[section], **values}
    spoken = {f"s{i}": Clip(10.0, 0) for i in range(speeches)}
    all_of = {f"p{i}": Subject(Clip(MINUTE * minutes, 0.25), spoken) for i in range(subjects)}
    about = {"video": "", "speeches": dict.fromkeys(spoken, "")}
    jobs = jobs_of({**config, "subjects": dict.fromkeys(all_of, about)})
    return plan(config, all_of, jobs, machine)


def test_each_further_minute_costs_the_same_disk_and_cpu_time() -> None:
    one, two, three = (needs(minutes) for minutes in (1, 2, 3))
    assert three.bytes - two.bytes == pytest.approx(two.bytes - one.bytes)
    assert one.bytes < two.bytes
    cpu = [sum(cost.cpu_seconds for cost in made.jobs) for made in (one, two, three)]
    assert cpu[2] - cpu[1] == pytest.approx(cpu[1] - cpu[0])


def test_ten_subjects_need_ten_times_what_one_does_and_no_more_memory() -> None:
    one, ten = needs(subjects=1), needs(subjects=10)
    shared = [cost for cost in one.jobs if not cost.subject]
    assert [cost.job.rule for cost in shared] == ["build_face_model"]
    assert len(ten.jobs) == 10 * (len(one.jobs) - 1) + 1
    bytes_of_all = shared[0].bytes
    assert ten.bytes - bytes_of_all == pytest.approx(10 * (one.bytes - bytes_of_all))
    assert ten.seconds_of("train") == pytest.approx(10 * one.seconds_of("train"))
    assert ten.largest.mib == one.largest.mib


def test_parts_change_how_many_jobs_draw_but_not_what_they_draw() -> None:
    drawn = {}
    for parts in (1, 4):
        made = needs(rendering={"parts": parts})
        jobs = [cost for cost in made.jobs if cost.job.rule == "render_frames"]
        fixed = costs()["render_frames", "cpu", "bytes"].fixed
        drawn[parts] = len(jobs), sum(cost.bytes - fixed for cost in jobs)
    assert (drawn[1][0], drawn[4][0]) == (2, 8)
    assert drawn[1][1] == pytest.approx(drawn[4][1])


def test_twice_the_steps_take_twice_the_time_but_for_the_start() -> None:
    few, many, more = (
        needs(training={"steps": steps, "preview_steps": 10**6}).seconds_of("train")
        for steps in (1000, 2000, 3000)
    )
    assert more - many == pytest.approx(many - few)
    assert many > few


def test_more_cores_never_take_longer_and_one_takes_all_cpu_time() -> None:
    times = [
        needs(subjects=20, machine=dataclasses.replace(MACHINE, cores=cores)).seconds
        for cores in (1, 2, 8, 64, 1000)
    ]
    assert times == sorted(times, reverse=True)
    assert times[0] > sum(cost.cpu_seconds for cost in needs(subjects=20).jobs)
    assert times[-1] > needs().seconds_of("train")


def test_on_a_gpu_the_papers_training_takes_what_was_measured() -> None:
    config = command.read_config([])
    subject = Subject(Clip(MINUTE, 0.25))
    machine = dataclasses.replace(MACHINE, gpus=1)
    for rays, step in ((1024, 3.77e-3), (4096, 8.46e-3), (16384, 27.6e-3)):
        config["training"] |= {"rays": rays, "steps": 100_000}
        made = plan(config, {"p": subject}, [Job("train", {"subject": "p"})], machine)
        assert made.seconds_of("train") == pytest.approx(100_000 * step, rel=0.05)


def test_arithmetic_of_a_ray_is_that_of_the_networks_weights() -> None:
    for config in (ModelConfig(), ModelConfig(width=64, depth=4, x_levels=7, coarse_samples=12)):
        level = Level(config, Scene(None, 1.0, 2.0, 1.0, 32))
        shared = ("condition", "view.weight")  # of a frame, of a ray
        weights = sum(
            parameter.numel()
            for name, parameter in level.named_parameters()
            if not name.endswith(shared) and "bias" not in name
        )
        samples = 2 * config.coarse_samples + config.fine_samples
        assert ray_gflop(config) == pytest.approx(2 * samples * weights / 1e9)


def test_a_missing_video_is_named_and_left_out(tmp_path: Path) -> None:
    there = tmp_path / "there.mp4"
    write_video(there, [np.zeros((64, 96, 3), np.uint8)] * 10)
    config = command.read_config([])
    config["subjects"] = {
        "a": {"video": str(tmp_path / "missing.mp4")},
        "b": {"video": str(there), "duration": 0.2, "speeches": {"s": str(tmp_path)}},
    }
    subjects, unread = subjects_of(config)
    assert subjects.keys() == {"b"}
    assert subjects["b"].clip == Clip(0.2, 64 * 96 / 1e6)
    assert unread == [str(tmp_path / "missing.mp4"), str(tmp_path)]
    lines = lines_of(*estimated(config, jobs_of(config), MACHINE))
    assert any("missing.mp4 is cannot be told" in line for line in lines)
    assert "1 subject," in lines[0]


def test_a_synthetic_person_that_is_not_drawn_yet_is_as_long_as_its_text() -> None:
    config = command.read_config([ROOT / "config" / "demo_subjects.yaml"])
    subjects, unread = subjects_of(config)
    assert not unread
    assert all(8 < subject.clip.seconds < 13 for subject in subjects.values())


@pytest.mark.parametrize(("free", "warned"), [(1e6, True), (1e12, False)])
def test_little_disk_gives_a_warning_with_what_is_missing(free: float, warned: bool) -> None:
    made = needs(machine=dataclasses.replace(MACHINE, free_bytes=free))
    lines = lines_of(made)
    missing = [line for line in lines if line.startswith("warning")]
    assert bool(missing) == warned
    if warned:
        assert size(made.bytes - free) in missing[0]


def test_frames_are_held_in_memory_only_where_they_fit() -> None:
    small = needs(minutes=30, pack={"size": 450})
    large = needs(
        minutes=30,
        pack={"size": 450},
        machine=dataclasses.replace(MACHINE, memory_mib=100_000),
    )
    frames = 30 * 60 * 25 * 450 * 450 * 4 / 2**20
    memory = [
        next(cost.mib for cost in made.jobs if cost.job.rule == "train") for made in (small, large)
    ]
    assert memory[1] - memory[0] == pytest.approx(frames)


def test_a_cluster_has_no_memory_of_its_own() -> None:
    elsewhere = Machine(50, 50, math.inf, 1e12, cluster=True)
    text = "\n".join(lines_of(needs(machine=elsewhere)))
    assert "a cluster, 50 jobs at once" in text and "are there" not in text


def test_the_table_of_costs_is_what_was_measured() -> None:
    found = fitted(read_rows(ROOT / "docs" / "scaling.csv"))
    kept = {key: cost for key, cost in costs().items() if key[1] == "cpu"}
    assert found.keys() == kept.keys()
    for key, cost in found.items():
        assert kept[key][2:-1] == pytest.approx(cost[2:-1], rel=0.01, abs=1e-12)


def test_the_disk_of_each_measured_clip_is_told_within_a_third() -> None:
    rows = read_rows(ROOT / "docs" / "scaling.csv")
    for case in {row.case for row in rows}:
        *_, disk = compared([row for row in rows if row.case == case], costs())
        assert 2 / 3 < disk < 1.5


def test_known_costs_are_found_again() -> None:
    rows = [
        Row("", "pack_dataset", frames, frames * size, frames * size, 0, 0, 0, 2, 1.0,
            3 + 0.02 * frames + 0.1 * frames * size, 100 + 0.5 * frames, 5e6 * frames * size)
        for frames in (100, 1000, 5000) for size in (0.05, 0.2)
    ]  # fmt: skip
    found = fitted(rows)
    time = found["pack_dataset", "cpu", "cpu_seconds"]
    assert time[2:5] == pytest.approx((3, 0.02, 0.1), rel=1e-3)
    assert found["pack_dataset", "cpu", "bytes"].per_megapixel == pytest.approx(5e6)
    memory = found["pack_dataset", "cpu", "mib"]
    assert (memory.fixed, memory.per_frame) == pytest.approx((100, 0.5))


def test_what_grows_to_a_bound_is_not_taken_to_grow_for_ever() -> None:
    rows = [
        Row("", "check_video", frames, 0, 0, 0, 0, 0, 2, 1.0, 1.0, peak, 1.0)
        for frames, peak in ((100, 200), (1000, 500), (10_000, 500))
    ]
    memory = fitted(rows)["check_video", "cpu", "mib"]
    assert (memory.fixed, memory.per_frame) == (500, 0)


def test_durations_have_the_digits_of_an_estimate() -> None:
    told = [rough(seconds) for seconds in (42, 90 * 60, 3600 * 3.14, 86400 * 12)]
    assert told == ["42 s", "90 min", "3.1 h", "12.0 days"]
    assert [size(count) for count in (0, 999, 1.36e9, 2.83e12)] == [
        "0 bytes", "999 bytes", "1.36 GB", "2.83 TB"
    ]  # fmt: skip


def test_a_table_of_minutes_and_subjects(capsys) -> None:
    command.main(["--minutes", "1", "5", "--subjects", "1", "10", "--gpus", "1", "--cores", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 4
    assert lines[2].startswith("| 1 | 1 |") and lines[-1].startswith("| 10 | 5 |")


def test_a_config_that_cannot_be_read_is_one_line(tmp_path: Path, capsys) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("subjects: [")
    for path, word in ((broken, "cannot be read"), (tmp_path / "none.yaml", "cannot be read")):
        with pytest.raises(SystemExit) as stop:
            command.main(["--configfile", str(path)])
        said = capsys.readouterr().err
        assert stop.value.code == 2
        assert str(path) in said and word in said and said.count("\n") == 1
