"""What the Python interface is given: paths as text, and one clear error for a value of the wrong type."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from natdeploy import api
from natdeploy.core.checked import get_parameter_hints
from natdeploy.errors import InputError, OutputError
from natdeploy.supernet.threads import use_threads

# They take no argument but flags, or a name that is looked up.
_PLAIN = {"devices", "tables", "doctor", "jsonable", "find_space"}
_TEXTS: Any = {"host": "20ms"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, which is also the user's own."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: api.search(goal="x"), "goal is 'x': it must be a SearchGoal"),
        (lambda: api.search(supernet=5), "supernet is 5: it must be a text or a SpaceSelector"),
        (lambda: api.search(data=5), "data is 5: it must be a text or a path"),
        (lambda: api.search(preset=5), "preset is 5: it must be a text or a Preset"),
        (lambda: api.search(threads=0), "threads is 0: it must be at least 1 and at most 256"),
        (lambda: api.search(output=""), "output is '': it must be a path"),
        (lambda: api.adapt(data="digits", output="x", threads=0), "threads is 0"),
        (lambda: api.pretrain(data="digits", output="x", threads=0), "threads is 0"),
        (lambda: api.predict("subnet.json", 5), "device is 5: it must be a text"),
        (lambda: api.measure("subnet.json", ["host"]), "device is ['host']: it must be a text"),
        (lambda: api.export("s.json", options="fp16"), "options is 'fp16': it must be an ExportOptions"),
        (lambda: api.export("s.json", ()), "no format is given (known: onnx, tflite, tensorrt)"),
        (lambda: api.export("s.json", "onxn"), "unknown format 'onxn'"),
        (lambda: api.inspect(5), "subnet is 5: it must be a text or a path or a SubnetSource"),
        (lambda: api.largest("starter"), "space is 'starter': it must be a SearchSpace"),
        (lambda: api.find_preset("quick", {"initial": "many"}), "initial is 'many': it must be a whole number"),
        (lambda: api.SearchGoal(latency_limits_ms=(_TEXTS,)), "mappings of texts to numbers"),
        (lambda: api.SearchGoal(latency_limits_ms={"host": 20}), "mappings of texts to numbers"),
        (lambda: api.SearchGoal(latency_limits_ms=({},)), "latency-limits-ms has an empty limit"),
        (lambda: api.SearchGoal(devices="host"), "it must be a list of texts, such as ('host',)"),
        (lambda: api.SearchGoal(objectives="madds"), "it must be a list of texts, such as ('madds',)"),
        (lambda: api.TableSelector(batch="1"), "batch is '1': it must be a whole number, at least 1"),
        (lambda: api.SpaceSelector(5, "x", "y"), "supernet is 5: it must be a text"),
        (lambda: api.ProfileOptions(budget_s=-5), "budget-s is -5: it must be above 0"),
        (lambda: api.ProfileOptions(budget_s="2m"), "budget-s is '2m': it must be a number, above 0"),
        (lambda: api.SurrogateSettings(starts=0), "starts is 0: it must be at least 1"),
    ],
)
def test_wrong_values_are_one_error(folder: Path, call: Callable[[], object], said: str) -> None:
    """The error names the argument and what it must be, and nothing is left behind."""
    with pytest.raises(InputError) as refused:
        call()
    assert said in str(refused.value)
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    "call",
    [
        lambda: api.report("nowhere"),
        lambda: api.resume("nowhere"),
        lambda: api.search_from("nowhere"),
        lambda: api.extract_from_run("nowhere"),
        lambda: api.resume_adaptation("nowhere"),
        lambda: api.resume_pretraining("nowhere"),
    ],
)
def test_paths_may_be_text(call: Callable[[], object]) -> None:
    """A run is found, or not, by the text of its path."""
    with pytest.raises(InputError, match="nowhere: no such folder"):
        call()


def test_outputs_may_be_text(folder: Path) -> None:
    """Where a result goes may be told as text: a profile gets as far as writing there."""
    (folder / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        api.profile("jetson-nano", output=str(folder / "file" / "table.csv"))  # type: ignore[arg-type]


def test_every_function_checks_its_arguments() -> None:
    """A function of the interface is checked, and the types of its parameters are known when it runs."""
    functions: dict[str, Any] = {name: getattr(api, name) for name in api.__all__ if name not in _PLAIN}
    functions = {name: found for name, found in functions.items() if inspect.isfunction(found)}
    assert len(functions) > 20
    assert [name for name, found in functions.items() if not hasattr(found, "__wrapped__")] == []
    for found in functions.values():
        wanted = inspect.signature(found).parameters
        assert set(get_parameter_hints(inspect.unwrap(found))) == set(wanted)


def test_torch_never_computes_with_no_thread() -> None:
    """A number of threads below 1 is refused, not replaced by the default."""
    with pytest.raises(InputError, match="threads is 0"), use_threads(0):
        pass
