"""Tables of figures, the best ones in bold, as Markdown and as LaTeX (booktabs)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ssp_nerf.figure_columns import COLUMNS

ARROWS = {"higher": "↑", "lower": "↓", "truth's": ""}
LATEX_ARROWS = {"↑": r"$\uparrow$", "↓": r"$\downarrow$"}
LATEX_SPECIAL = {c: rf"\{c}" for c in "%_&#$"} | {"±": r"$\pm$", "'": "'"}
MISSING = "-"

Figures = Mapping[str, float | None]


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Attributes:
        label: first cell.
        figures: metric -> value, None where it is not defined.
        counts: whether it competes for the best figure; the truth does not.
        more: further cells, as they are written.
    """

    label: str
    figures: Figures
    counts: bool = True
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """Figures of some methods.

    Attributes:
        caption: what is shown.
        metrics: columns, names out of `COLUMNS`.
        rows: lines in their order.
        more: heads of further columns.
        own: the truth's figures, for columns in which the nearest to it is best.
    """

    caption: str
    metrics: Sequence[str]
    rows: Sequence[Row]
    more: tuple[str, ...] = ()
    own: Figures | None = None

    @property
    def head(self) -> list[str]:
        heads = [f"{COLUMNS[m].title} {ARROWS[COLUMNS[m].better]}".strip() for m in self.metrics]
        return ["", *heads, *self.more]

    def cells(self, bold: Callable[[str], str]) -> list[list[str]]:
        """Cells of every row, the best figures as `bold` marks them."""
        best = {metric: self._best(metric) for metric in self.metrics}
        lines = []
        for row in self.rows:
            shown = [cell(metric, row.figures.get(metric)) for metric in self.metrics]
            marked = [
                bold(text) if row.counts and text == best[metric] else text
                for metric, text in zip(self.metrics, shown, strict=True)
            ]
            lines.append([row.label, *marked, *row.more])
        return lines

    def _best(self, metric: str) -> str | None:
        """The best figure as it is shown, so that what looks the same is bold alike."""
        values = [row.figures.get(metric) for row in self.rows if row.counts]
        defined = [value for value in values if value is not None]
        better = COLUMNS[metric].better
        own = (self.own or {}).get(metric)
        if len(defined) < 2:  # nothing to choose from
            return None
        if better == "truth's":
            if own is None:
                return None
            return cell(metric, min(defined, key=lambda value: abs(value - own)))
        return cell(metric, max(defined) if better == "higher" else min(defined))


def cell(metric: str, value: float | None) -> str:
    """A figure as tables show it."""
    return MISSING if value is None else f"{value:.{COLUMNS[metric].decimals}f}"


def markdown(table: Table) -> list[str]:
    """Lines of the table alone."""
    return markdown_lines(table.head, table.cells(lambda text: f"**{text}**"))


def markdown_lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table's lines: text on the left, figures on the right."""
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return [f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in (head, rule, *rows)]


def latex(table: Table) -> list[str]:
    """Lines of a table environment, for a document that uses the package booktabs."""
    cells = [[_escaped(text) for text in row] for row in table.cells(lambda text: f"\0{text}\1")]
    cells = [[t.replace("\0", r"\textbf{").replace("\1", "}") for t in row] for row in cells]
    lines = [" & ".join(row) + r" \\" for row in cells]
    return [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_escaped(table.caption)}}}",
        rf"  \begin{{tabular}}{{l{'r' * (len(table.head) - 1)}}}",
        r"    \toprule",
        "    " + " & ".join(map(_escaped, table.head)) + r" \\",
        r"    \midrule",
        *(f"    {line}" for line in lines),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]


def _escaped(text: str) -> str:
    special = LATEX_SPECIAL | LATEX_ARROWS
    return "".join(special.get(character, character) for character in text)
