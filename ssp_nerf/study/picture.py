"""Mean opinion scores as a picture: a row for each method, a panel for each question."""

from pathlib import Path

from ssp_nerf.files import whole_output
from ssp_nerf.study.questions import HIGHEST, LOWEST, QUESTIONS, SCALE
from ssp_nerf.study.scores import Scores

WIDTH, ROW, REST = 10.0, 0.42, 1.3  # inches
INK = "#24527a"


def plot_scores(path: Path, found: Scores) -> None:
    """Write a PNG: the score of each method and its confidence interval."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, REST + ROW * len(found.methods)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(QUESTIONS), sharey=True)
    rows = range(len(found.methods))
    for panel, question in zip(panels, QUESTIONS, strict=True):
        own = [found.scores[method, question.key] for method in found.methods]
        margins = [score.margin or 0.0 for score in own]
        panel.errorbar(
            [score.mos for score in own], rows, xerr=margins, fmt="o", color=INK, capsize=4
        )
        for row, score in zip(rows, own, strict=True):
            panel.annotate(
                f"{score.mos:.2f}", (score.mos, row), (0, 7), textcoords="offset points",
                ha="center", fontsize=8, color=INK,
            )  # fmt: skip
        kappa = found.kappas[question.key]
        agreement = "" if kappa is None else f"  (Fleiss' kappa {kappa:.2f})"
        panel.set_title(question.title + agreement, fontsize=10)
        panel.set_xlim(LOWEST - 0.2, HIGHEST + 0.2)
        panel.set_xticks(range(LOWEST, HIGHEST + 1), [f"{i}\n{w}" for i, w in enumerate(SCALE, 1)])
        panel.tick_params(labelsize=8)
        panel.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(rows, found.methods)
    panels[0].set_ylim(len(found.methods) - 0.5, -0.6)  # the best on top
    with whole_output(path) as partial:
        figure.savefig(partial, dpi=120, format="png")
