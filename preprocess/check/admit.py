"""Let a checked video into the pipeline, or stop with the reasons before anything is computed.

`python -m preprocess.check.admit --check check.json --admitted admitted.txt`
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from preprocess.check.findings import Level
from ssp_nerf import cli
from ssp_nerf.errors import InputError
from ssp_nerf.files import require_file, whole_output

STOP = True


def admit(check: Path, admitted: Path, stop: bool = STOP) -> None:
    """Write the verdict into a text file, unless it is a reason to stop.

    Args:
        check: JSON that `preprocess.check` wrote.
        admitted: text file.
        stop: whether a video that will not work ends here.

    Raises:
        InputError: it does, or the JSON is none of `preprocess.check`.
    """
    path = require_file(check, "what `preprocess.check` found", "Run the workflow again.")
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        verdict, video = report["verdict"], report["video"]
        reasons = [f for f in report["findings"] if f["level"] == str(Level.WILL_NOT_WORK)]
        lines = [f"{f['topic']}: {f['measured']}. {f['advice']}" for f in reasons]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path}: expected what `preprocess.check` writes, but {error!r}. Delete it and run "
            "the workflow again."
        ) from error
    if reasons and stop:
        raise InputError(
            f"{video}: will not work. {' '.join(lines)} Look at qc/check.png beside {path}; set "
            "check.stop to false (--no-stop) to go on all the same."
        )
    for line in lines:
        print(f"warning: {video}: {line}", file=sys.stderr)
    with whole_output(admitted) as partial:
        partial.write_text(f"{verdict}\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = cli.parser("preprocess.check.admit", __doc__)
    parser.add_argument("--check", type=Path, required=True, help="JSON of `preprocess.check`")
    parser.add_argument("--admitted", type=Path, required=True, help="text file to write")
    parser.add_argument(
        "--stop",
        action=argparse.BooleanOptionalAction,
        default=STOP,
        help="stop at a video that will not work",
    )
    cli.run(parser, lambda options: admit(options.check, options.admitted, options.stop), arguments)


if __name__ == "__main__":
    main()
