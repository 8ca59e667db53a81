"""Tables of what thorough runs gave, as docs/ shows them."""

from collections.abc import Iterable, Sequence

LONGEST = 300  # characters of a cell


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; cells are text as it is, save those in backquotes."""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(map(cell, row))} |" for row in rows]
    return "\n".join(lines)


def cell(text: str) -> str:
    """Text for a cell of a Markdown table, on one line, no markup taken from it."""
    if text.startswith("`") and text.endswith("`"):
        return text
    text = " ".join(text.split())
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]} ..."
    for mark in "\\`*_|<>[]$":
        text = text.replace(mark, f"\\{mark}")
    return text
