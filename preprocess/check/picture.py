"""One picture of a checked video: the verdict, what was found, frames, and curves over time."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from preprocess import face_topology as mesh
from preprocess.check import limits
from preprocess.check.examine import Report
from preprocess.check.findings import Finding, Level, verdict
from preprocess.check.looks import Look
from preprocess.check.mouth import relative_opening
from preprocess.check.sound import PAUSE_DB, speech_level
from ssp_nerf.files import whole_output
from ssp_nerf.schema import FPS

INK, PALE, LINE, PAPER = "#22262e", "#7d8592", "#dfe3e8", "#ffffff"
COLOURS = {Level.GOOD: "#2f8f5b", Level.USABLE: "#d98e04", Level.WILL_NOT_WORK: "#c8323c"}
SIGNS = {Level.GOOD: "✓", Level.USABLE: "!", Level.WILL_NOT_WORK: "✕"}
YAW, PITCH, MOUTH, VOICE = "#30638e", "#d1495b", "#8a4f7d", "#9db8cc"

WIDTH, HEIGHT, DPI = 16.0, 11.6, 100  # inches, dots an inch
BANNER = 0.075  # of the height
LIST = 0.335  # of the width, at the right
TILES = 12
TILE_ROWS = 2
TILE_SIDE = 2.2  # of the face's height
LIST_GAPS = {Level.GOOD: 0.4, Level.USABLE: 0.9, Level.WILL_NOT_WORK: 0.9}  # lines
LIST_CHARACTERS = 62
ADVICE_CHARACTERS = 68


def write_picture(path: Path, report: Report, size: int) -> None:
    """Write a PNG of a report; `size` is the portrait's side, pixels."""
    sheet = Figure(figsize=(WIDTH, HEIGHT), facecolor=PAPER)
    _banner(sheet, report)
    left, right = 0.045, 1 - LIST - 0.055
    _tiles(sheet, report, (left - 0.03, 0.635, right - left + 0.065, 0.275))
    _curves(sheet, report, (left, 0.045, right - left, 0.565), size)
    _list(sheet, report.findings, (1 - LIST, 0.24, LIST - 0.015, 0.665))
    _coverage(sheet, report, (1 - LIST + 0.035, 0.05, 0.12, 0.155))
    _step(sheet, report, (1 - LIST + 0.195, 0.05, 0.12, 0.155))
    with whole_output(path) as partial:
        sheet.savefig(partial, dpi=DPI, format="png")


def _banner(sheet: Figure, report: Report) -> None:
    level = verdict(report.findings)
    axes = _blank(sheet, (0, 1 - BANNER, 1, BANNER))
    axes.add_patch(Rectangle((0, 0), 1, 1, color=COLOURS[level]))
    axes.text(0.016, 0.5, str(level), fontsize=30, fontweight="bold", color=PAPER, va="center")
    worst = [finding for finding in report.findings if finding.level is level]
    why = "because of " + _listed([finding.topic for finding in worst])
    if level is Level.GOOD:
        why = "nothing stands in the way"
    elif len(worst) == 1:
        why = f"{worst[0].topic}: {worst[0].measured}"
    others = [f.topic for f in report.findings if Level.GOOD < f.level < level]
    more = f"also: {_listed(others)}" if others else ""
    if report.clean is not None:
        begin, end = report.clean
        stretch = f"longest stretch without marked times: {begin:.1f} to {end:.1f} s"
        more = f"{more}   ·   {stretch}" if more else stretch
    axes.text(
        0.235,
        0.64 if more else 0.5,
        f"{report.video.name}  ·  {why}",
        fontsize=15,
        color=PAPER,
        va="center",
    )
    axes.text(0.235, 0.27, more, fontsize=11, color=PAPER, va="center", alpha=0.9)


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _tiles(sheet: Figure, report: Report, box: tuple[float, float, float, float]) -> None:
    """Frames with what was seen in them; those that a finding names have its colour."""
    chosen = _chosen(report)
    columns = -(-len(chosen) // TILE_ROWS) if len(chosen) > TILE_ROWS else len(chosen)
    x, y, width, height = box
    cell = (width / max(columns, TILES // TILE_ROWS), height / TILE_ROWS)
    for place, index in enumerate(chosen):
        look = report.looks[index]
        row, column = divmod(place, columns)
        corner = (x + column * cell[0], y + (TILE_ROWS - 1 - row) * cell[1])
        axes = _blank(sheet, (*corner, 0.95 * cell[0], 0.98 * cell[1]))
        _tile(axes, look, _named(report.findings, look.time), report.seconds)


def _chosen(report: Report) -> list[int]:
    """Looks to show: evenly over the clip, and one for each finding that names times."""
    times = np.array([look.time for look in report.looks])
    named = [
        int(np.abs(times - np.mean(max(f.times, key=lambda t: t[1] - t[0]))).argmin())
        for f in sorted(report.findings, key=lambda f: -f.level)
        if f.times and f.level is not Level.GOOD
    ][: TILES // 2]
    even = np.linspace(0, len(times) - 1, TILES - len(set(named))).round().astype(int)
    return sorted({*named, *even.tolist()})[:TILES]


def _named(findings: Sequence[Finding], time: float) -> Finding | None:
    """The worst finding that names a time."""
    near = 0.3  # seconds: a cut has no length
    naming = [
        f
        for f in findings
        if f.level is not Level.GOOD
        and any(a - (b == a) * near <= time <= b + (b == a) * near for a, b in f.times)
    ]
    return max(naming, key=lambda f: f.level, default=None)


def _tile(axes: Axes, look: Look, finding: Finding | None, seconds: float) -> None:
    height, width = look.small.shape[:2]
    axes.imshow(look.small, aspect="equal", interpolation="bilinear")
    if look.face is not None:
        face = look.face * look.scale
        axes.add_patch(_frame(face, COLOURS[Level.GOOD]))
        half = TILE_SIDE * (face[3] - face[1]) / 2
        half = max(half, min(width, height) / 3)
        cx, cy = (face[0] + face[2]) / 2, (face[1] + face[3]) / 2
        cx = float(np.clip(cx, min(half, width / 2), max(width - half, width / 2)))
        cy = float(np.clip(cy, min(half, height / 2), max(height - half, height / 2)))
        axes.set_xlim(max(0, cx - half), min(width, cx + half))
        axes.set_ylim(min(height, cy + half), max(0, cy - half))
    for box in look.others:
        axes.add_patch(_frame(box * look.scale, COLOURS[Level.WILL_NOT_WORK]))
    if look.points is not None:
        points = look.points[:, :2] * look.scale
        for ring in (mesh.FACE_OVAL, mesh.LIPS_OUTER, mesh.LIPS_INNER):
            axes.add_patch(Polygon(points[list(ring)], fill=False, color=PAPER, lw=0.6, alpha=0.7))
    for hand in look.hands:
        axes.plot(*(hand * look.scale).T, ".", color=COLOURS[Level.USABLE], markersize=3)
    colour = PALE if finding is None else COLOURS[finding.level]
    if finding is not None:
        axes.add_patch(
            Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, color=colour, lw=5)
        )
    label = _clock(look.time, seconds) + ("" if finding is None else f"  {finding.topic}")
    axes.text(
        0.03, 0.97, label, transform=axes.transAxes, fontsize=9, color=PAPER, va="top",
        fontweight="bold", bbox={"facecolor": colour, "lw": 0, "pad": 2.0},
    )  # fmt: skip


def _frame(box: np.ndarray, colour: str) -> Rectangle:
    left, top, right, bottom = box
    return Rectangle((left, top), right - left, bottom - top, fill=False, color=colour, lw=1.4)


def _curves(
    sheet: Figure, report: Report, box: tuple[float, float, float, float], size: int
) -> None:
    """Head, mouth and sound, sharpness, light and background over time, with their limits."""
    x, y, width, height = box
    rows = 6
    cell = height / rows
    panels = [
        sheet.add_axes((x, y + (rows - 1 - row) * cell, width, 0.72 * cell)) for row in range(rows)
    ]
    times = np.array([look.time for look in report.looks])
    head, mouth, sound, blur, light, scene = panels

    head.plot(report.angle_times, report.angles[:, 0], color=YAW, lw=1.2)
    head.plot(report.angle_times, report.angles[:, 1], color=PITCH, lw=1.2)
    _title(head, "head, degrees:", ("yaw", YAW), ("pitch", PITCH))

    seen = [(look.time, float(relative_opening(look.points)))
            for look in report.looks if look.points is not None]  # fmt: skip
    if seen:
        mouth.plot(*np.array(seen).T, ".", color=MOUTH, markersize=3, alpha=0.5)
    for lips in report.stretches:
        mouth.axvspan(lips.times[0], lips.times[-1], color=LINE, alpha=0.5, lw=0, zorder=0)
        mouth.plot(lips.times, lips.opening, color=MOUTH, lw=0.7)
    mouth.set_ylim(bottom=0)
    _title(mouth, "mouth opening over its width", ("(grey: followed from frame to frame)", PALE))

    if report.sound is not None and len(report.sound.level):
        level = report.sound.level
        clock = np.arange(len(level)) / FPS
        sound.fill_between(clock, -90, level, color=VOICE, lw=0)
        sound.set_ylim(min(-75, level.min()), 0)
        speech = speech_level(level)
        _limit(sound, speech, "speech")
        _limit(sound, speech - PAUSE_DB, "silence")
    else:
        _note(sound, "no sound")
    _title(sound, "sound, dBFS")

    blur.plot(times, [look.blur for look in report.looks], color=INK, lw=1)
    blur.set_ylim(0.3, 0.9)
    _limit(blur, limits.BLUR[0], "soft")
    _title(blur, "blur of the face, 0 to 1")

    light.plot(times, [look.light for look in report.looks], color=INK, lw=1)
    light.set_ylim(0, 255)
    for limit, label in ((limits.DARK[0], "dark"), (limits.BRIGHT[0], "bright")):
        _limit(light, limit, label)
    _title(light, "light on the face, 0 to 255")

    shift = report.still.shift * report.portrait_pixels
    limit = limits.BACKGROUND_SHIFT * size
    scene.plot(times, shift, color=INK, lw=1, marker=".", markersize=2)
    scene.set_ylim(0, max(3 * limit, 1.1 * np.nanmax(shift, initial=0)))
    _limit(scene, limit, "moves")
    if not np.isfinite(shift).any():
        scene.text(
            0.5, 0.5, "too plain to tell", transform=scene.transAxes, ha="center", color=PALE
        )
    _title(scene, "shift of the background, pixels of the portrait")

    for axes in panels:
        _quiet(axes)
        axes.set_xlim(0, report.seconds)
        for cut in report.times[report.cuts]:
            axes.axvline(cut, color=COLOURS[Level.WILL_NOT_WORK], lw=1.1, ls=(0, (3, 2)))
    for axes in panels[:-1]:
        axes.tick_params(labelbottom=False)
    for cut in report.times[report.cuts][:20]:
        head.annotate(
            "cut", (cut, 1), (2, -2), xycoords=("data", "axes fraction"), va="top",
            textcoords="offset points", fontsize=8, color=COLOURS[Level.WILL_NOT_WORK],
        )  # fmt: skip
    rows_of = {
        "background": scene, "sharpness": blur, "light": light,
        "far turns": head, "face": head, "other faces": head, "hands": head,
    }  # fmt: skip
    for finding in report.findings:
        if finding.level is Level.GOOD or finding.topic not in rows_of:
            continue
        for begin, end in finding.times:
            rows_of[finding.topic].axvspan(
                begin, end, color=COLOURS[finding.level], alpha=0.18, lw=0, zorder=0
            )
    scene.set_xlabel("time, s", fontsize=9, color=INK)


def _list(
    sheet: Figure, findings: Sequence[Finding], box: tuple[float, float, float, float]
) -> None:
    """Every finding, worst first: a sign, what was measured and wanted, and what to do."""
    axes = _blank(sheet, box)
    ordered = sorted(findings, key=lambda finding: -finding.level)
    entries = [(finding, _lines(finding)) for finding in ordered]
    total = sum(len(lines) + LIST_GAPS[finding.level] for finding, lines in entries)
    step = min(1 / max(total, 1), 0.031)
    y = 1.0
    for finding, lines in entries:
        colour = COLOURS[finding.level]
        axes.text(0.012, y, SIGNS[finding.level], fontsize=13, fontweight="bold", color=colour,
                  va="top", ha="center")  # fmt: skip
        for number, (text, style) in enumerate(lines):
            axes.text(0.04, y - number * step, text, va="top", **style)
        y -= (len(lines) + LIST_GAPS[finding.level]) * step


def _lines(finding: Finding) -> list[tuple[str, dict]]:
    """Lines of a finding's entry with their looks."""
    strong = {"fontsize": 10.5, "fontweight": "bold", "color": INK}
    plain, pale = {"fontsize": 9.5, "color": INK}, {"fontsize": 9, "color": PALE}
    lines: list[tuple[str, dict]] = []
    if finding.level is Level.GOOD:
        text = textwrap.wrap(f"{finding.topic}: {finding.measured}", LIST_CHARACTERS)
        return [(line, plain) for line in text]
    lines.append((finding.topic, {**strong, "color": COLOURS[finding.level]}))
    lines += [(line, plain) for line in textwrap.wrap(finding.measured, LIST_CHARACTERS)]
    lines += [
        (line, pale) for line in textwrap.wrap(f"wanted: {finding.wanted}", ADVICE_CHARACTERS)
    ]
    return lines + [
        (line, pale) for line in textwrap.wrap(f"→ {finding.advice}", ADVICE_CHARACTERS)
    ]


def _coverage(sheet: Figure, report: Report, box: tuple[float, float, float, float]) -> None:
    axes = sheet.add_axes(box)
    axes.plot(report.angles[:, 0], report.angles[:, 1], ".", color=YAW, markersize=4, alpha=0.5)
    if len(report.angles):
        cx, cy = np.percentile(report.angles[:, :2], [5, 95], axis=0).mean(0)
        width, height = limits.YAW_RANGE[0], limits.PITCH_RANGE[0]
        axes.add_patch(
            Rectangle((cx - width / 2, cy - height / 2), width, height, fill=False, color=PALE,
                      ls=(0, (3, 2)))
        )  # fmt: skip
        far = np.abs(report.angles[:, :2] - (cx, cy)).max(0) * (1.1, 1.1 / 0.75)
        reach = max(20.0, *far)
        axes.set_xlim(cx - reach, cx + reach)
        axes.set_ylim(cy - reach * 0.75, cy + reach * 0.75)
    _title(axes, "where the head looks")
    axes.text(0.97, 0.03, "dashed: least", transform=axes.transAxes, ha="right", fontsize=8,
              color=PALE)  # fmt: skip
    axes.set_xlabel("yaw, degrees", fontsize=9, color=INK)
    axes.set_ylabel("pitch", fontsize=9, color=INK)
    _quiet(axes)


def _step(sheet: Figure, report: Report, box: tuple[float, float, float, float]) -> None:
    axes = sheet.add_axes(box)
    _title(axes, "lips and loudness")
    axes.set_xlabel("sound late by, s", fontsize=9, color=INK)
    axes.set_ylabel("correlation", fontsize=9, color=INK)
    _quiet(axes)
    if report.step is None:
        _note(axes, "nothing to compare")
        return
    lags, correlation = report.step.lags, report.step.correlation
    axes.axvspan(-limits.SOUND_LAG[0], limits.SOUND_LAG[0], color=LINE, alpha=0.6, lw=0)
    axes.plot(lags, correlation, color=MOUTH, lw=1.5)
    axes.plot(lags[report.step.best], correlation[report.step.best], "o", color=MOUTH)
    _limit(axes, report.step.needed, "no chance above", left=True)
    axes.set_xlim(lags[0], lags[-1])
    axes.set_ylim(
        min(-0.4, correlation.min() - 0.05),
        max(0.8, correlation.max() + 0.1, report.step.needed + 0.15),
    )


def _blank(sheet: Figure, box: tuple[float, float, float, float]) -> Axes:
    axes = sheet.add_axes(box)
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    return axes


def _title(axes: Axes, text: str, *coloured: tuple[str, str]) -> None:
    axes.set_title(text, loc="left", fontsize=9.5, color=INK, pad=3)
    offset = 0.0
    for word, colour in coloured:
        axes.annotate(
            word, (0, 1), (5.6 * len(text) + offset + 6, 3.5), xycoords="axes fraction",
            textcoords="offset points", fontsize=9.5, color=colour,
        )  # fmt: skip
        offset += 5.6 * len(word) + 8


def _limit(axes: Axes, value: float, label: str = "", left: bool = False) -> None:
    """A dashed line with its meaning at the right end, or at the left, inside the panel."""
    axes.axhline(value, color=PALE, lw=0.9, ls=(0, (3, 2)), zorder=3)
    axes.annotate(
        label, (0 if left else 1, value), (3 if left else 4, 1.5 if left else 0),
        xycoords=("axes fraction", "data"), ha="left", va="bottom" if left else "center",
        fontsize=8, textcoords="offset points", color=PALE, annotation_clip=False,
    )  # fmt: skip


def _note(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=PALE)


def _quiet(axes: Axes) -> None:
    axes.tick_params(labelsize=8, length=0, colors=PALE)
    axes.grid(color=LINE, lw=0.6)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)


def _clock(seconds: float, whole: float) -> str:
    """A time of a clip that is `whole` seconds long."""
    if whole < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
