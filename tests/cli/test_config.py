"""Values of options in natdeploy.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from natdeploy import cli


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[profile]\nseed = 1.7", "natdeploy.toml: Invalid value for '--seed': '1.7' is not a valid integer range."),
        ("[profile]\nseed = true", "natdeploy.toml: Invalid value for '--seed': 'true' is not a valid integer range."),
        ("[profile]\nseed = 2024-01-01", "natdeploy.toml: [profile] seed is a date or time, not text, a number"),
        ("[profile]\nseed = [1]", "natdeploy.toml: [profile] seed is a list, not text, a number"),
        ("[search]\ndata = ['digits']", "natdeploy.toml: [search] data is a list, not text, a number"),
        ("[profile]\ndevice = ''", "natdeploy.toml: Invalid value for '-d' / '--device': it is empty"),
        ("[profile.device]\na = 1", "natdeploy.toml: [profile] device is a table, not text, a number"),
        ("[search]\ntarget-latency = ['20ms', ['3ms']]", "natdeploy.toml: [search] target-latency is a list, not text"),
    ],
)
def test_values_are_read_as_on_the_command_line(
    text: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is rounded, cut or printed into a value: what no option takes is refused with the file."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    Path("natdeploy.toml").write_text(text)
    assert cli.run([text[1:].partition("]")[0].partition(".")[0]]) == 2
    assert reason in capsys.readouterr().err
