"""The one exception for what a user can mend, and the one way it reaches the terminal."""

import errno

FULL = (errno.ENOSPC, errno.EDQUOT)  # disk, quota


class InputError(ValueError):
    """Something outside the code is wrong: a file, a video, a config value.

    The message is one line: what was got, what was expected, the file or config key, what to do.
    Commands print it without a traceback and exit with status 2 (`ssp_nerf.cli.run`). A bug of
    ours is an `assert` or any other exception, and keeps its traceback.
    """


def first_line(error: BaseException) -> str:
    """What an error of a library says, on one line; its kind where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)
