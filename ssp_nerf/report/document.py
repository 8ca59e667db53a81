"""The page as one file: everything inline, and nothing that could ask the network for more.

What is shown comes as JSON and reaches the page only as text, never as markup. A content security
policy lets nothing run but the page's own script, by its hash, and nothing be loaded at all.
"""

import base64
import hashlib
import html
import json
import math
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("page")
STYLE = "style.css"
SCRIPTS = ("film.js", "plots.js", "player.js", "sections.js", "page.js")
"""In the order in which they follow each other in the page's one script."""


def document(title: str, content: dict[str, Any], film: bytes) -> str:
    """The page.

    Args:
        title: of the window and the page.
        content: what `page.js` reads.
        film: the mp4.
    """
    style = (PAGE / STYLE).read_text(encoding="utf-8")
    script = "".join((PAGE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    policy = (
        f"default-src 'none'; img-src data:; media-src blob:; style-src {_hash(style)}; "
        f"script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "title": html.escape(title),
        "style": style,
        "content": as_script(content),
        "film": base64.b64encode(film).decode("ascii"),
        "script": script,
    }
    page = (PAGE / "page.html").read_text(encoding="utf-8")
    before, *rest = page.split("{{")  # filled once: what is filled in may hold braces
    pieces = [before]
    for part in rest:
        name, after = part.split("}}", 1)
        pieces += [parts[name.strip()], after]
    return "".join(pieces)


def as_script(content: object) -> str:
    """JSON that no HTML parser takes for markup, whatever its strings hold; nan is null."""
    text = json.dumps(plain(content), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def plain(value: object) -> object:
    """A value as JSON can hold it, whoever wrote it: arrays as lists, what is unknown as text."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(name): plain(inside) for name, inside in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inside) for inside in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def as_image(data: bytes, kind: str) -> str:
    """A picture's bytes as a data URI; kind: jpeg, png."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
