"""Outputs of engines by trtexec, on this machine as a device; trtexec itself is a stand-in."""

from __future__ import annotations

import numpy as np
import pytest

from natdeploy.errors import InputError, NoOutputsError
from natdeploy.export.onnx import OnnxExporter
from natdeploy.export.parity import check_parity
from natdeploy.runtimes.connection import Connection, LocalLink
from natdeploy.runtimes.trtexec_files import read_outputs
from natdeploy.runtimes.trtexec_program import TrtexecProgram
from natdeploy.runtimes.trtexec_runtime import TrtexecBuilder, TrtexecRuntime
from natdeploy.testing.networks import noise_images, tiny_network
from tests.support.ssh_server import write_program
from tests.support.stand_ins import write_stand_in
from tests.support.tool_outputs import HELP_8_0, exported_output


def test_an_engine_gives_the_outputs_of_its_network(tmp_path):
    """Built, fetched, sent back and run image by image, it computes what the network computes."""
    write_stand_in(tmp_path / "trtexec", "trtexec")
    network = tiny_network()
    OnnxExporter(13).write(network, tmp_path / "net.onnx")
    with Connection("board", LocalLink()) as connection:
        program = TrtexecProgram(transport=connection, path=str(tmp_path / "trtexec"))
        builder = TrtexecBuilder(program, precision="fp32", workspace_mib=64)
        log = builder.build(tmp_path / "net.onnx", tmp_path / "net.engine")
        runtime = TrtexecRuntime(program, input_name="image", input_size=32)
        session = runtime.open(tmp_path / "net.engine", threads=1)
        assert check_parity(network, session, noise_images(network, 2)).passed
        assert session.input_size == 32
        with pytest.raises(InputError, match="images of shape"):
            session.run(np.zeros((1, 3, 16, 16), np.float32))
    assert "PASSED" in log
    assert (builder.version(), runtime.version()) == ("8.0.1", "8.0.1")


def test_a_trtexec_that_gives_no_outputs_says_so(tmp_path):
    """Where an option is missing, that is an outcome of its own, told before anything is sent."""
    (tmp_path / "help").write_text(HELP_8_0.replace("--loadInputs", "--other"))
    write_program(tmp_path / "trtexec", f"#!/bin/sh\ncat {tmp_path}/help\n")
    (tmp_path / "net.engine").write_bytes(b"engine")
    with Connection("board", LocalLink()) as connection:
        program = TrtexecProgram(transport=connection, path=str(tmp_path / "trtexec"))
        with pytest.raises(NoOutputsError, match=r"trtexec of TensorRT 8\.0\.1 of board cannot write outputs"):
            TrtexecRuntime(program, input_name="image", input_size=32).open(tmp_path / "net.engine", threads=1)


def test_a_build_that_passes_without_an_engine_is_an_error(tmp_path):
    """The verdict alone is not believed."""
    (tmp_path / "help").write_text(HELP_8_0)
    passed = "echo '&&&& PASSED TensorRT.trtexec [TensorRT v8001] # trtexec'"
    write_program(
        tmp_path / "trtexec", f'#!/bin/sh\nif [ "$1" = --help ]; then cat {tmp_path}/help; else {passed}; fi\n'
    )
    (tmp_path / "net.onnx").write_bytes(b"model")
    with Connection("board", LocalLink()) as connection:
        program = TrtexecProgram(transport=connection, path=str(tmp_path / "trtexec"))
        builder = TrtexecBuilder(program, precision="fp32", workspace_mib=64)
        with pytest.raises(InputError, match="it reported success but wrote no engine"):
            builder.build(tmp_path / "net.onnx", tmp_path / "net.engine")
    assert not (tmp_path / "net.engine").exists()


def test_outputs_are_read_in_their_shape():
    """Values come in the shape that the file states; those that are no numbers stay so."""
    read = read_outputs(exported_output("logits", [1, 3], [1.5, -2e-7, 3.25]))
    np.testing.assert_array_equal(read, np.array([[1.5, -2e-7, 3.25]], np.float32))
    odd = read_outputs(exported_output("logits", [2, 1], [float("nan"), float("-inf")]))
    assert not np.isfinite(odd).any()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1x3", "1x4", "it has 3 values, which do not fit the dimensions 1x4"),
        ("1x3", "", "the dimensions are ''"),
        ("1.5", '"1.5"', "'1.5' is not a number"),
        ("1.5", "true", "'True' is not a number"),
        ("values", "value", "it must hold one output with"),
        (" ]\n", "\n", "not valid JSON, or incomplete"),
        ("[\n", "[ {},\n", "it must hold one output with"),
    ],
)
def test_damaged_outputs_are_refused(old, new, message):
    """Another layout, several outputs, or fewer values than stated are errors, never half-read."""
    text = exported_output("logits", [1, 3], [1.5, 2.0, 3.25])
    assert old in text
    with pytest.raises(InputError, match=message):
        read_outputs(text.replace(old, new, 1))
