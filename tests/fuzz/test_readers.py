"""Every reader reads whole files, and refuses damaged ones in one way."""

import pytest

from tests.fuzz.campaign import try_damaged
from tests.fuzz.corpus import make_readers

READERS = make_readers()


@pytest.mark.parametrize("reader", READERS, ids=[reader.name for reader in READERS])
def test_whole_files_are_read(reader, tmp_path, monkeypatch):
    """What is damaged in the other test is a file that the reader takes."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path))
    for content in reader.contents:
        for name, beside in {**reader.beside, reader.file: content}.items():
            (tmp_path / name).write_bytes(beside)
        reader.read(tmp_path / reader.file)


@pytest.mark.parametrize("reader", READERS, ids=[reader.name for reader in READERS])
def test_damaged_files_are_read_or_refused(reader):
    """A damaged file is read, or is one error that names it, soon and within little memory; nothing else is raised."""
    tried, failures = try_damaged(reader, count=15, seed=0)
    assert tried == max(1, round(15 * reader.share))
    assert [f"{failure.reason}\n{failure.content[:300]!r}" for failure in failures] == []
