"""Commands on a disk that fills up."""

from pathlib import Path

import pytest

from natdeploy import api, cli
from natdeploy.errors import OutputError
from tests.support.disks import full_disk, names
from tests.support.small_search import prepare, small_search


def test_a_subnet_that_does_not_fit_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the file that was to be written; with space, the same command works."""
    monkeypatch.chdir(tmp_path)
    command = ["extract", "smallest", "--supernet", "starter", "-o", "out/subnet.json"]
    with full_disk(100_000):
        assert cli.run(command) == 2
    assert "cannot write out/subnet.safetensors: File too large" in capsys.readouterr().err
    assert names(tmp_path / "out") == []
    assert cli.run(command) == 0
    assert names(tmp_path / "out") == ["subnet.json", "subnet.safetensors"]


@pytest.mark.slow
def test_a_search_goes_on_when_there_is_space_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever file does not fit, the search is resumed to the same archive, and no file is half-written."""
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path / "home", monkeypatch)
    whole = small_search(output=tmp_path / "whole")
    size = (whole.run / "checkpoint" / "supernet.pt").stat().st_size
    for limit in (500, 20_000, size - 1):
        run = tmp_path / f"run-{limit}"
        with full_disk(limit), pytest.raises(OutputError, match="cannot write"):
            small_search(output=run)
        assert not list(run.rglob(".natdeploy-tmp-*"))
        if (run / "run.toml").exists():
            api.resume(run)
        else:
            small_search(output=run)
        for name in ("archive.csv", "front.csv", "subnet.json"):
            written = (run / name).read_text().replace(run.name, whole.run.name)
            assert written == (whole.run / name).read_text()
