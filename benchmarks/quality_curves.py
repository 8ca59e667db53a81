"""Quality over the seconds of training, of several runs of `benchmarks.train_gpu` in one picture.

python -m benchmarks.quality_curves runs/plain runs/kernels --output curves.png
"""

import csv
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path

from ssp_nerf.files import whole_output

FIGURES = {"psnr": "full frame", "psnr_head": "inside the head"}


def plot(path: Path, runs: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """PNG of the rows (seconds, psnr, psnr_head) of each run, by name."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(FIGURES), figsize=(9, 3.6), layout="constrained")
    for axis, (name, title) in zip(axes, FIGURES.items(), strict=True):
        for run, rows in runs.items():
            axis.plot([r["seconds"] for r in rows], [r[name] for r in rows], "o-", label=run)
        axis.set(xlabel="seconds of training", title=title)
        axis.grid(alpha=0.3)
    axes[0].set(ylabel="PSNR of some held-out frames (dB)")
    axes[0].legend()
    with whole_output(path) as partial:
        figure.savefig(partial, dpi=110)
    plt.close(figure)


def read_rows(run: Path) -> list[dict[str, float]]:
    """What a run's looks at its held-out frames gave."""
    with open(run / "scores.csv", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def main() -> None:
    parser = ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+", help="output folders of benchmarks.train_gpu")
    parser.add_argument("--output", type=Path, required=True, help="the PNG to write")
    options = parser.parse_args()
    plot(options.output, {run.name: read_rows(run) for run in options.runs})


if __name__ == "__main__":
    main()
