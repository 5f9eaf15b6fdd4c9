"""What the commands send, and where they write: nothing, and only where it is documented."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from natdeploy.runtimes import agent, machine_identity, processor_load
from tests.support.isolated import run_isolated

ASK = "import socket, contextlib\nwith contextlib.suppress(OSError): {}"


@pytest.mark.parametrize(
    "attempt",
    [
        "socket.create_connection(('192.0.2.1', 443), timeout=1)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.53', 53))",
        "socket.create_connection(('2001:db8::1', 443), timeout=1)",
    ],
)
def test_what_is_sent_is_counted(tmp_path: Path, attempt: str) -> None:
    """An attempt to reach another machine, or a resolver of names on this one, is seen by the kernel's counters."""
    _, packets = run_isolated([["python", "-c", ASK.format(attempt)]], tmp_path)
    assert packets > 0


def test_the_main_commands_send_nothing_and_write_where_it_is_documented(tmp_path: Path) -> None:
    """Without a route to anywhere all work, nothing tries to leave, and files are in the user's own folders."""
    work = tmp_path / "work"
    for place in range(24):
        folder = work / "pictures" / "ab"[place % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (120 * (place % 2), 7 * place, 50)).save(folder / f"{place}.png")
    given = {path for path in work.rglob("*") if path.is_file()}
    search = (
        "search --data pictures --supernet starter --resolutions 32 --device jetson-nano --from-scratch --preset quick "
        "--warmup-epochs 0 --adapt-epochs 1 --initial 6 --iterations 1 --candidates 1 --min-steps-per-epoch 0 "
        "--batch-size 8 --threads 1 --output run"
    )
    commands = [
        "devices",
        "extract smallest --supernet starter",
        "inspect subnet.json",
        "predict subnet.json --device jetson-nano",
        "export subnet.json --format onnx --output exported",
        search,
        "report run",
    ]
    codes, packets = run_isolated([command.split() for command in commands], tmp_path)
    assert codes == [0] * len(commands)
    assert packets == 0
    written = {path for path in tmp_path.rglob("*") if path.is_file()} - given
    own = ("work/exported/", "work/run/", "work/subnet.", "home/.local/share/natdeploy/")
    assert not [path for path in written if not path.relative_to(tmp_path).as_posix().startswith(own)]
    assert {work / "exported" / "subnet.onnx", work / "run" / "report.html"} < written


def test_the_program_on_a_device_has_no_telemetry(tmp_path: Path) -> None:
    """There it runs without natdeploy, beside the device's own ONNX Runtime, which reads the variable when imported."""
    runtime = "import os\n__version__ = 'off' if os.environ.get('ORT_DISABLE_TELEMETRY') == '1' else 'on'\n"
    (tmp_path / "onnxruntime.py").write_text(runtime)
    for module in (agent, machine_identity, processor_load):
        shutil.copy(str(module.__file__), tmp_path)
    job = json.dumps({"runtime": "onnxruntime", "threads": 1, "command": "info"})
    there = {name: value for name, value in os.environ.items() if not name.startswith("ORT_")}
    program = [sys.executable, str(tmp_path / "agent.py")]
    done = subprocess.run(program, input=job, env=there, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[0])["version"] == "off"


@pytest.mark.slow
def test_runtimes_stay_silent_while_they_are_loaded(tmp_path: Path, digits_subnet: Path) -> None:
    """Half a minute with the runtimes in the same process, as a notebook has them, sends and leaves nothing."""
    program = (
        "import time, sys; from natdeploy import api; from natdeploy.api import export; "
        "export(sys.argv[1], formats=('onnx', 'tflite'), output='there'); import onnxruntime; "
        "session = onnxruntime.InferenceSession('there/subnet.onnx'); time.sleep(30)"
    )
    codes, packets = run_isolated([["python", "-c", program, str(digits_subnet)]], tmp_path)
    assert (codes, packets) == ([0], 0)
    assert not [*(tmp_path / "home").rglob("*icrosoft*"), *(tmp_path / "tmp").rglob(".ses")]
