"""The script that builds an engine, run against stand-ins for trtexec of two versions."""

import os
import shlex
import shutil
import signal
import subprocess

import pytest

from natdeploy.errors import InputError
from natdeploy.export.build_script import script_path, write_build_script
from natdeploy.runtimes.trtexec import TrtexecFlags, make_build_arguments
from tests.support.ssh_server import write_program
from tests.support.tool_outputs import HELP_8_0, HELP_10, HELP_11, TRTEXEC_LOG
from tests.support.waiting import LIMIT_S, wait_until

SHELLS = [shell for shell in ("sh", "dash", "bash") if shutil.which(shell)]
ERROR = "[1/2/26-03:04:05] [E] [TRT] Engine deserialization failed\n"


@pytest.fixture
def onnx(tmp_path):
    """A file that stands for ONNX, under a name that shells could trip over."""
    path = tmp_path / "out" / "it's a $(net).v1.onnx"
    path.parent.mkdir()
    path.write_bytes(b"not read by the stand-in")
    return path


def stand_in(folder, help_text, *, says=TRTEXEC_LOG, code=0, writes=True, waits=""):
    """Write a program that has this help, says this of a build, and keeps its arguments in `arguments`."""
    (folder / "help").write_text(help_text)
    (folder / "says").write_text(says)
    saving = 'case "$one" in --saveEngine=*) echo engine >"${one#*=}";; esac' if writes else ":"
    program = f"""#!/bin/sh
if [ "$1" = --help ]; then cat {folder}/help; exit 0; fi
: >{folder}/arguments
for one in "$@"; do printf '%s\\n' "$one" >>{folder}/arguments; {saving}; done
cat {folder}/says
{waits}
exit {code}
"""
    write_program(folder / "trtexec", program)
    return str(folder / "trtexec")


def run(script, *arguments, shell="sh", path="/usr/bin:/bin"):
    """Run the script from another folder."""
    return subprocess.run(
        [shell, str(script), *arguments], cwd="/", env={"PATH": path}, capture_output=True, text=True, check=False
    )


def names(folder):
    """Return the names in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("shell", SHELLS)
def test_shells_can_read_it(onnx, shell, precision):
    """The script is POSIX: every shell that is here parses it."""
    script = write_build_script(onnx, precision=precision, workspace_mib=500)
    done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(("help_text", "precision"), [(HELP_8_0, "fp32"), (HELP_8_0, "fp16"), (HELP_10, "int8")])
def test_it_builds_with_the_options_of_the_version(onnx, tmp_path, shell, help_text, precision):
    """Options are those that building over ssh chooses; engine and log are left, and nothing else."""
    script = write_build_script(onnx, precision=precision, workspace_mib=500)
    done = run(script, stand_in(tmp_path, help_text), shell=shell)
    engine = onnx.with_suffix(".engine")
    assert (done.returncode, done.stdout) == (0, f"{engine.name}\n"), done.stderr
    assert engine.read_text() == "engine\n"
    log = onnx.with_suffix(".build.log")
    assert names(onnx.parent) == sorted(path.name for path in (onnx, engine, script, log))
    assert log.read_text() == TRTEXEC_LOG
    expected = make_build_arguments(
        TrtexecFlags.from_help(help_text), onnx=onnx.name, engine="", precision=precision, workspace_mib=500
    )
    used = (tmp_path / "arguments").read_text().splitlines()
    assert {one for one in used if "saveEngine" not in one} == {one for one in expected if "saveEngine" not in one}


def test_trtexec_is_found_on_path(onnx, tmp_path):
    """Without an argument the trtexec of PATH is used."""
    stand_in(tmp_path, HELP_10)
    script = write_build_script(onnx, precision="fp32", workspace_mib=500)
    assert run(script, path=f"{tmp_path}:/usr/bin:/bin").returncode == 0


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ({"code": 1, "says": ERROR}, "Engine deserialization failed"),
        ({"says": ERROR + TRTEXEC_LOG}, "Engine deserialization failed"),
        ({"says": TRTEXEC_LOG.rsplit("&&&&", 1)[0]}, "trtexec failed; see"),
        ({"says": TRTEXEC_LOG.replace("PASSED", "FAILED")}, "trtexec failed; see"),
        ({"writes": False}, "trtexec failed; see"),
        ({"code": 137}, "lack of memory"),
    ],
)
def test_a_failed_build_leaves_no_engine(onnx, tmp_path, behaviour, said):
    """Exit code, verdict, error lines and the file itself must all be right; else only the log is left."""
    script = write_build_script(onnx, precision="fp16", workspace_mib=500)
    done = run(script, stand_in(tmp_path, HELP_10, **behaviour))
    assert done.returncode == 1
    assert said in done.stderr
    assert not onnx.with_suffix(".engine").exists()
    assert names(onnx.parent) == sorted([onnx.name, script.name, onnx.with_suffix(".build.log").name])


def test_an_earlier_engine_stays_when_a_build_fails(onnx, tmp_path):
    """The engine gets its name only when it is whole."""
    script = write_build_script(onnx, precision="fp16", workspace_mib=500)
    assert run(script, stand_in(tmp_path, HELP_10)).returncode == 0
    assert run(script, stand_in(tmp_path, HELP_10, code=1, writes=False)).returncode == 1
    assert onnx.with_suffix(".engine").read_text() == "engine\n"


def test_an_interrupted_build_leaves_no_engine(onnx, tmp_path):
    """A build that is ended removes what it had written."""
    script = write_build_script(onnx, precision="fp16", workspace_mib=500)
    program = stand_in(tmp_path, HELP_10, waits=f"touch {tmp_path}/began; sleep 600")
    process = subprocess.Popen(["sh", str(script), program], stderr=subprocess.DEVNULL, start_new_session=True)
    assert wait_until((tmp_path / "began").exists)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(LIMIT_S) in {143, -signal.SIGTERM}
    assert names(onnx.parent) == sorted([onnx.name, script.name, onnx.with_suffix(".build.log").name])


def test_without_trtexec_it_says_where_it_comes_from(onnx, tmp_path):
    """Exit code 3, as natdeploy itself has it; a program that is not trtexec is told too."""
    script = write_build_script(onnx, precision="fp16", workspace_mib=500)
    done = run(script, str(tmp_path / "trtexec"))
    assert done.returncode == 3
    assert "there is no trtexec here" in done.stderr
    done = run(script, stand_in(tmp_path, "usage: something else"))
    assert done.returncode == 3
    assert "no options of a usable trtexec" in done.stderr


def test_a_precision_that_trtexec_does_not_set_is_refused(onnx, tmp_path):
    """Without --fp16, as from 11 on, the engine would be fp32 without a word; int8 stands in the file itself."""
    script = write_build_script(onnx, precision="fp16", workspace_mib=500)
    done = run(script, stand_in(tmp_path, HELP_11))
    assert done.returncode == 2
    assert "this trtexec has no --fp16" in done.stderr
    script = write_build_script(onnx, precision="int8", workspace_mib=500)
    assert run(script, stand_in(tmp_path, HELP_11)).returncode == 0


def test_another_onnx_file_is_refused(onnx, tmp_path):
    """The script builds the file that it was written for, and says so where that is missing or another."""
    script = write_build_script(onnx, precision="fp16", workspace_mib=500)
    onnx.write_bytes(b"cut short")
    done = run(script, stand_in(tmp_path, HELP_10))
    assert done.returncode == 2
    assert "is not the file that this script was written for" in done.stderr
    onnx.unlink()
    assert "is not beside this script" in run(script, stand_in(tmp_path, HELP_10)).stderr


def test_the_script_is_ready_to_run(onnx):
    """It lies beside the file, can be executed, and holds no path of this machine."""
    script = write_build_script(onnx, precision="fp16", workspace_mib=500)
    assert script == script_path(onnx) == onnx.with_name("it's a $(net).v1.build.sh")
    assert script.stat().st_mode & 0o111
    text = script.read_text()
    assert str(onnx.parent) not in text
    assert shlex.quote(onnx.name) in text


def test_a_name_like_an_option_is_refused(tmp_path):
    """A name that begins with a dash would be an option on the device."""
    path = tmp_path / "-net.onnx"
    path.write_bytes(b"x")
    with pytest.raises(InputError, match="begins with '-'"):
        write_build_script(path, precision="fp32", workspace_mib=1)
