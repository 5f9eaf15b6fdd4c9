"""A command that refuses its input does not import what takes seconds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "scipy.stats")
SCRIPT = f"""
import json
import sys
from pathlib import Path
from natdeploy.cli import run

imported = {{}}
for line in sys.stdin.read().splitlines():
    code = run(line.split())
    imported[line] = [code, *(name for name in {HEAVY} if name in sys.modules)]
Path("imported.json").write_text(json.dumps(imported))
"""
REFUSED = """
no-such-command
search --no-such-option
inspect no-such.json
extract no-such.json
extract no-such.json --supernet starter
predict no-such.json
measure no-such.json
measure no-such.onnx
export no-such.json
export no-such.json --format no-such
search --data no-such
search --device no-such
search --supernet no-such
search --preset no-such
search --weights no-such.pth
search --resume no-such
search --from no-such
report no-such
pretrain --data no-such --output run
pretrain --resume no-such
adapt --data no-such --output run
adapt --resume no-such
search --accuracy no-such.csv
search --accuracy no-such
profile --device no-such
profile --supernet no-such
tables show no-such
tables check no-such
tables import no-such --format ofa --device host
"""
ANSWERED = ("--help", "search --help", "devices", "tables list", "doctor")


@pytest.mark.integration
def test_refusals_import_neither_torch_nor_scipy_stats(tmp_path: Path) -> None:
    """Bad input is refused, and devices and tables are listed, before torch or scipy.stats are imported."""
    expected = {line: [2] for line in REFUSED.strip().splitlines()} | {line: [0] for line in ANSWERED}
    subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input="\n".join(expected),
        cwd=tmp_path,
        env={**os.environ, "NATDEPLOY_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads((tmp_path / "imported.json").read_text()) == expected
