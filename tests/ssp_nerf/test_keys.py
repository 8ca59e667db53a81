"""Keys change with the code that a command runs, and with nothing else."""

from pathlib import Path

import pytest

from ssp_nerf import keys


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A project of three modules: a imports b inside a function; c stands alone."""
    folder = tmp_path / "ssp_nerf"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "keys.py").write_text("")
    (folder / "a.py").write_text("def f():\n    from ssp_nerf import b\n    return b.g()\n")
    (folder / "b.py").write_text('"""Words."""\nimport numpy\n\ndef g():\n    return 1\n')
    (folder / "c.py").write_text("X = 1\n")
    monkeypatch.setattr(keys, "__file__", str(folder / "keys.py"))
    yield folder
    forget()


def forget() -> None:
    """What a process has read once it does not read again."""
    for known in (keys.source_key, keys._read, keys._path):
        known.cache_clear()


def key() -> str:
    forget()
    return keys.source_key("ssp_nerf.a")


def test_an_imported_module_counts(package):
    before = key()
    (package / "b.py").write_text("def g():\n    return 2\n")
    assert key() != before


def test_a_module_that_is_not_imported_does_not(package):
    before = key()
    (package / "c.py").write_text("X = 2\n")
    assert key() == before


def test_comments_docstrings_and_formatting_do_not(package):
    before = key()
    (package / "b.py").write_text('"""Others."""\n# why\nimport numpy\ndef g(): return (1)\n')
    assert key() == before


def test_value_keys_ignore_the_order_of_keys():
    assert keys.value_key({"a": 1, "b": 2}) == keys.value_key({"b": 2, "a": 1})
    assert keys.value_key({"a": 1}) != keys.value_key({"a": 2})
