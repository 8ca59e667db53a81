"""What every command shares: parse, call one function, one clear line on bad input."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence

from ssp_nerf.errors import FULL, InputError

EXIT_INPUT_ERROR = 2
EXIT_TERMINATED = 128 + signal.SIGTERM  # as shells report it
EXIT_INTERRUPTED = 128 + signal.SIGINT


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, but not for what has none: "(default: None)" tells nobody anything."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


class _VerbatimFormatter(_HelpFormatter, argparse.RawDescriptionHelpFormatter):
    """The same, with the description's own line breaks."""


def parser(module: str, description: str | None, verbatim: bool = False) -> argparse.ArgumentParser:
    """An argument parser for `python -m <module>` that shows the defaults in its help.

    Args:
        verbatim: keep the description's line breaks, where it shows commands.
    """
    return argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        formatter_class=_VerbatimFormatter if verbatim else _HelpFormatter,
    )


def run(
    parser: argparse.ArgumentParser,
    command: Callable[[argparse.Namespace], None],
    arguments: Sequence[str] | None = None,
) -> None:
    """Parse, call `command`, and turn an `InputError` into one line on stderr and exit status 2."""
    options = parser.parse_args(arguments)
    # Ended by a scheduler, a command still clears away what it has half written.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
    try:
        command(options)
    except InputError as error:
        message = " ".join(str(error).split())
        rank = int(os.environ.get("RANK", "0"))  # of those that torchrun starts
        print(f"error{f' (process {rank})' if rank else ''}: {message}", file=sys.stderr)
        sys.exit(EXIT_INPUT_ERROR)
    except KeyboardInterrupt:
        print("interrupted; nothing half-written is left.", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output went away (`... | head`); Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that cannot be written to
        message = " ".join(str(error).split())
        if error.errno in FULL:  # HDF5 says it in several lines, with addresses
            where = f": {error.filename}" if error.filename else ""
            message = (
                f"{os.strerror(error.errno)}{where}. Make room where the outputs go and run it "
                "again; nothing half-written is left."
            )
        print(f"error: {message}", file=sys.stderr)
        if error.errno in FULL:  # HDF5, left with what it could not write, may crash at the exit
            sys.stderr.flush()
            os._exit(EXIT_INPUT_ERROR)
        sys.exit(EXIT_INPUT_ERROR)
