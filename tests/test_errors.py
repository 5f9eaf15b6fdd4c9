"""The error tree."""

import pytest

from natdeploy import errors
from natdeploy.errors import NatdeployError

LEAVES = [
    (errors.CheckFailedError, 1, "check-failed", Exception),
    (errors.InputError, 2, "bad-input", ValueError),
    (errors.CoverageError, 2, "not-covered", errors.InputError),
    (errors.DivergedError, 1, "diverged", ArithmeticError),
    (errors.EvaluationError, 1, "evaluation-failed", RuntimeError),
    (errors.MemoryShortageError, 2, "out-of-memory", MemoryError),
    (errors.OutputError, 2, "cannot-write", OSError),
    (errors.MissingRuntimeError, 3, "missing-runtime", ImportError),
    (errors.NoOutputsError, 3, "no-outputs", errors.MissingRuntimeError),
    (errors.DeviceUnreachableError, 4, "device-unreachable", ConnectionError),
    (errors.TargetUnreachableError, 5, "target-unreachable", LookupError),
    (errors.InterruptedWorkError, 130, "interrupted", Exception),
]


@pytest.mark.parametrize(("error", "exit_code", "code", "builtin"), LEAVES)
def test_an_error_is_the_builtin_that_a_caller_expects(error, exit_code, code, builtin):
    """Each error has its exit code and its name, derives from the root and from the fitting builtin."""
    assert (error.exit_code, error.code) == (exit_code, code)
    assert issubclass(error, NatdeployError)
    assert issubclass(error, builtin)


@pytest.mark.parametrize("error", [leaf for leaf, *_ in LEAVES])
def test_message_and_hint_are_kept(error):
    """What the error says is the message alone; the hint stands beside it, and may be missing."""
    made = error("what is wrong", hint="what to do")
    assert str(made) == made.message == "what is wrong"
    assert made.hint == "what to do"
    assert error("what is wrong").hint is None
    assert error("what is wrong").artifacts == ()


def test_every_leaf_is_listed_here():
    """No error of the tree is left out above, and no two share a name."""
    found = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, NatdeployError) and value is not NatdeployError
    }
    assert found == {leaf for leaf, *_ in LEAVES}
    assert len({leaf.code for leaf in found}) == len(found)


def test_an_unknown_name_is_refused_with_the_nearest_known_one():
    """The message lists the known names, the hint gives the one most like it in any case, or none."""
    errors.require_known("format", "onnx", ("onnx", "tflite"))
    with pytest.raises(errors.InputError, match=r"unknown format 'TFLit' \(known: onnx, tflite\)") as caught:
        errors.require_known("format", "TFLit", ("onnx", "tflite"))
    assert caught.value.hint == "did you mean 'tflite'?"
    assert errors.did_you_mean("something else", ("onnx", "tflite")) is None
