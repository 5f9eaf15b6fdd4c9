"""The three commands of the README, as written there, one after the other, on a machine without devices."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tests.integration.conftest import Command

pytestmark = pytest.mark.integration

QUICK = """
[profile]
resolutions = "32"
[search]
resolutions = "32"
initial = 6
iterations = 1
candidates = 2
warmup-epochs = 1
adapt-epochs = 1
"""


@pytest.fixture(scope="module")
def done(natdeploy: Command, folder: Path) -> dict[str, str]:
    """Standard output of the three commands; natdeploy.toml makes profile and search short."""
    (folder / "natdeploy.toml").write_text(QUICK)
    outputs = {}
    for name, line in (
        ("profile", "profile --device jetson-nano"),
        ("search", "search --target-latency 20ms"),
        ("export", "export subnet.json --format tflite"),
    ):
        process = natdeploy(*line.split())
        assert process.returncode == 0, process.stderr
        assert "Traceback" not in process.stderr
        outputs[name], outputs[f"{name} stderr"] = process.stdout, process.stderr
    return outputs


def test_an_unconnected_board_is_estimated_and_said_so(done: dict[str, str], natdeploy: Command) -> None:
    """The profile says that nothing was run, and `--measured-only` ends with exit code 4."""
    assert "not connected" in done["profile stderr"]
    assert "estimated" in done["profile"]
    refused = natdeploy("profile", "--device", "jetson-nano", "--measured-only")
    assert refused.returncode == 4
    assert refused.stdout == ""


def test_the_search_profiles_the_host_and_chooses(done: dict[str, str], folder: Path) -> None:
    """The search measured this machine first, printed the front and wrote the choice."""
    assert "profiling host first" in done["search stderr"]
    assert "front of" in done["search"]
    assert "measured" in done["search"]
    subnet = json.loads((folder / "subnet.json").read_text())
    assert subnet["format"] == "natdeploy.subnet/1"
    latency_ms = subnet["metrics"]["latency_ms"]["host"]
    assert latency_ms["predicted"] <= latency_ms["upper"] <= 20
    assert latency_ms["measured"] > 0
    assert (folder / subnet["weights"]).is_file()


def test_the_exported_file_is_checked(done: dict[str, str], folder: Path) -> None:
    """The TFLite file lies beside the subnet with a manifest that holds its parity and latency."""
    assert "top-1 agreement 100 %" in done["export"]
    manifest = json.loads((folder / "subnet.manifest.json").read_text())
    assert manifest["artifact"] == "subnet.tflite"
    assert manifest["parity"]["passed"] is True
    assert manifest["parity"]["relative_error"] < 1e-4
    assert manifest["latency"]["median_ms"] > 0
    assert len(manifest["labels"]) == 10


def test_the_table_is_stored_with_its_error(done: dict[str, str], natdeploy: Command) -> None:
    """The host's table says how far it is from whole networks, is not measured again, and `tables list` shows it."""
    document = json.loads(natdeploy("profile", "--json").stdout)
    written = Path(document["table"]).stat().st_mtime_ns
    assert json.loads(natdeploy("profile", "--json").stdout)["table"] == document["table"]
    assert Path(document["table"]).stat().st_mtime_ns == written
    assert document["ok"] is True
    assert document["provenance"] == "measured"
    assert document["validation"]["networks"] >= 20
    listed = json.loads(natdeploy("tables", "list", "--json").stdout)["tables"]
    assert {entry["device"]: entry["provenance"] for entry in listed if not entry["packaged"]} == {
        "host": "measured",
        "jetson-nano": "estimated",
    }


def test_the_other_commands_work_on_the_results(done: dict[str, str], natdeploy: Command, folder: Path) -> None:
    """`inspect`, `predict`, `measure`, `extract`, `report` and `export --json` agree with one another."""
    inspected = json.loads(natdeploy("inspect", "subnet.json", "--json").stdout)
    assert inspected["madds"] == sum(layer["madds"] for layer in inspected["layers"])
    predicted = json.loads(natdeploy("predict", "subnet.json", "--json").stdout)
    assert predicted["lower_ms"] <= predicted["latency_ms"] <= predicted["upper_ms"]
    estimated = json.loads(natdeploy("predict", "subnet.json", "-d", "jetson-nano", "--json").stdout)
    assert (estimated["provenance"], estimated["upper_ms"]) == ("estimated", None)
    run = next((folder / "runs").iterdir())
    extracted = json.loads(natdeploy("extract", str(run), "--row", "0", "-o", "zero.json", "--json").stdout)
    assert extracted["ok"] is True
    exported = json.loads(natdeploy("export", "zero.json", "--json").stdout)
    assert set(exported) >= {"ok", "format", "artifact", "manifest", "size_bytes", "seconds", "parity", "latency_ms"}
    session = onnxruntime.InferenceSession(folder / exported["artifact"], providers=["CPUExecutionProvider"])
    size = extracted["architecture"]["r"]
    assert session.run(None, {"image": np.zeros((1, 3, size, size), np.float32)})[0].shape == (1, 10)
    measured = json.loads(natdeploy("measure", exported["artifact"], "--json").stdout)
    assert 0 < measured["p10_ms"] <= measured["median_ms"] <= measured["p90_ms"]
    report = natdeploy("report", str(run))
    assert report.returncode == 0
    assert "report.html" in report.stdout


def test_devices_and_doctor_answer(natdeploy: Command) -> None:
    """`devices` lists what is known with its state, `doctor` what is installed."""
    devices = json.loads(natdeploy("devices", "--json").stdout)["devices"]
    assert {entry["name"]: entry["reachable"] for entry in devices}["host"] is True
    doctor = json.loads(natdeploy("doctor", "--json").stdout)
    assert {entry["what"]: entry["state"] for entry in doctor["findings"]}["torch"] == "ok"
