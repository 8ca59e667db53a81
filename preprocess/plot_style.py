"""How our plots look: little ink beside the curves."""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GRID = "#e8eaed"
FRAME = "#9aa0a6"


def quiet(axes: "Axes", grid: Literal["x", "y"]) -> None:
    """No frame, a faint grid, small numbers."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FRAME)
    axes.grid(axis=grid, color=GRID)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)


def heading(axes: "Axes", text: str) -> None:
    axes.set_title(text, loc="left", fontsize=10.5)
