"""Videos as `ssp_nerf.gather` writes them, and commands that refuse."""

import pytest

from ssp_nerf import gather


def run(module, *arguments):
    module.main([str(argument) for argument in arguments])


def gathered(part, speech, path, *more):
    run(gather, "--render", part, "--audio", speech, "--video", path, "--subject", "me", *more)
    return path


def refused(module, arguments, capfd) -> str:
    with pytest.raises(SystemExit) as stop:
        run(module, *arguments)
    assert stop.value.code == 2
    (line,) = [text for text in capfd.readouterr().err.splitlines() if text.startswith("error:")]
    return line
