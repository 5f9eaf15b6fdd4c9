"""The command line with wrong input: one clear error, the right exit code, nothing half-written."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from PIL import Image

from natdeploy import api, cli
from natdeploy.core.latency import LatencyCorrection
from natdeploy.io.spaces import find_space
from natdeploy.io.tables import write_table
from natdeploy.testing.tables import HOST, made_up_table

ARCHITECTURE = {"w": 0.5, "r": 32, "d": [2] * 5, "e": [3] * 10, "ks": [3] * 10}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory with a data folder of its own, and a table of the host without a fingerprint."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def resolve_table_file(folder: Path, device: str = "host") -> Path:
    """Write a made-up table of the host where it is looked for, and return its path."""
    path = folder.parent / "home" / "latency_tables" / device / HOST.file_name
    write_table(path, made_up_table(find_space("starter")))
    return path


def write_subnet(folder: Path, content: object) -> None:
    """Write subnet.json."""
    (folder / "subnet.json").write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("search --target-latency 20", 2, "has no unit: write 20ms"),
        ("search --target-latency 0ms", 2, "'0ms' is not positive"),
        ("search --target-latency=-5ms", 2, "'-5ms' is not a duration"),
        ("search --target-latency soon", 2, "'soon' is not a duration"),
        ("search --target-latency 20ms --target-latency host=10ms", 2, "give every limit a device"),
        ("search --max-size 5", 2, "is not a size such as 5MB"),
        ("search --preset quik", 2, "did you mean 'quick'?"),
        ("search --supernet natt", 2, "did you mean 'nat'?"),
        ("search --data nowhere", 2, "'nowhere'"),
        ("search --resolutions 31", 2, "'31' is not a resolution"),
        ("search --initial 1", 2, "initial is 1"),
        ("search --resume nowhere", 2, "nowhere: no such folder"),
        ("report nowhere", 2, "nowhere: no such folder"),
        ("search --resume nowhere --seed 3", 2, "--seed cannot be used with it"),
        ("search --from nowhere", 2, "nowhere: no such folder"),
        ("search --from nowhere --seed 3", 2, "--seed cannot be used with it"),
        ("search --from-scratch --weights w.safetensors", 2, "so it cannot be used with --weights"),
        ("search --weights nowhere.safetensors", 2, "nowhere.safetensors: no such file"),
        ("search --weights released", 2, "OFA released no weights for supernet starter"),
        ("search --batch-size 1", 2, "batch-size is 1"),
        ("adapt --data digits", 2, "needs --data and --output, or --resume"),
        ("adapt --data digits -o run --weights nowhere.pth", 2, "nowhere.pth: no such file"),
        ("adapt --data digits -o run --from-population nowhere.csv", 2, "nowhere.csv: no such file"),
        ("adapt --resume nowhere", 2, "nowhere: no such folder"),
        ("inspect 08011001440551052208877 --weights nowhere.pth", 2, "nowhere.pth: no such file"),
        ("profile --device jetson-nono", 2, "did you mean 'jetson-nano'?"),
        ("profile --device jetson-nano --measured-only", 4, "not connected"),
        ("profile --device jetson-nano --recheck", 2, "no measured table of jetson-nano"),
        ("profile --fresh --recheck", 2, "--recheck cannot be used with it"),
        ("profile --seed 99999999999999999999", 2, "is not in the range"),
        ("profile --width 0.7", 2, "width 0.7 is not in space starter"),
        ("profile --runtime tensort", 2, "did you mean 'tensorrt'?"),
        ("export subnet.json", 2, "subnet.json: no such file"),
        ("export 08011001440551052208877 --format tflit", 2, "did you mean 'tflite'?"),
        ("export 08011001440551052208877 --format tensorrt --device jetson-nano --precision int8", 2, "no fast int8"),
        ("export 08011001440551052208877 --no-build", 2, "--no-build is not an option of format onnx"),
        ("inspect nowhere.json", 2, "nowhere.json: no such file"),
        ("extract nowhere.json", 2, "an architecture needs --supernet"),
        ("extract . --supernet starter", 2, "--supernet cannot be used with it"),
        ("extract . --weights w.pth --row 1", 2, "--weights cannot be used with it"),
        ("predict 08011001440551052208877 --device jetson-xavier-nx", 2, "no latency table"),
        ("measure nowhere.onnx", 2, "nowhere.onnx"),
        ("exprot subnet.json", 2, "did you mean 'export'?"),
        ("inspect", 2, "Missing argument"),
        ("profile --banana", 2, "--banana"),
    ],
)
def test_bad_usage(arguments: str, code: int, said: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad usage ends with its exit code and a message that says what is wrong, and writes nothing."""
    if arguments.startswith("search"):
        resolve_table_file(folder)
    assert cli.run(arguments.split()) == code
    captured = capsys.readouterr()
    assert said in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"format": "natdeploy.subnet/1", "supernet": "sta', "not valid JSON"),
        ("[1, 2]", "a subnet is a JSON object"),
        ({**ARCHITECTURE, "r": "32"}, "r: must be a whole number"),
        ({**ARCHITECTURE, "ks": [3] * 9}, "ks lists 9 layers"),
        ({**ARCHITECTURE, "ks": [3] * 9 + [9]}, "ks[9] is 9"),
        ({**ARCHITECTURE, "w": 0.7}, "width 0.7"),
        ({key: value for key, value in ARCHITECTURE.items() if key != "w"}, "w is missing"),
        ({**ARCHITECTURE, "colour": 1}, "colour"),
        ({"format": "natdeploy.subnet/2"}, "format"),
        ("\x00\x01", "it contains a zero byte"),
    ],
)
def test_bad_subnet_file(content: object, said: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A subnet file that is damaged or wrong is named with the key and the reason, by every command that reads one."""
    write_subnet(folder, content)
    for command in ("inspect", "export", "measure"):
        assert cli.run([command, "subnet.json"]) == 2
        captured = capsys.readouterr()
        assert "subnet.json" in captured.err
        assert said in captured.err
        assert captured.out == ""
    assert [path.name for path in folder.iterdir()] == ["subnet.json"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("natdeploy.", "natdeploy.9", "format"),
        (",0.0224416,", ",-1,", "line 18: median_ms is -1"),
        (",0.0224416,", ",nan,", "line 18: median_ms is nan"),
        (",0.0224416,", ",0,", "line 18: median_ms is 0"),
        (",0.0224416,", ",soon,", "line 18: median_ms is 'soon', not a number"),
        ("median_ms", "median", "median_ms"),
    ],
)
def test_bad_table_file(old: str, new: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A latency table with a wrong version, figure or column is named with its line, and is never used."""
    path = resolve_table_file(folder)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    write_subnet(folder, ARCHITECTURE)
    assert cli.run(["predict", "subnet.json"]) == 2
    captured = capsys.readouterr()
    assert str(path) in captured.err
    assert said in captured.err


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("upper_ratio: 1.1", "upper_ratio: 0.5", "'calibration.upper_ratio': is 0.5, below lower_ratio, which is 0.9"),
        (
            "device: host",
            "device: host\n# device: host",
            "line 3: the header is not valid YAML: key 'device' is repeated",
        ),
    ],
)
def test_bad_table_header(old: str, new: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An interval that is upside down and a repeated key are refused when the table is read, and by its check."""
    interval = LatencyCorrection(
        alpha_ms=0.0, beta=1.0, gamma_ms=0.0, lower_ratio=0.9, upper_ratio=1.1, coverage=0.9, networks=20
    )
    path = resolve_table_file(folder)
    write_table(
        path, dataclasses.replace(made_up_table(find_space("starter")), latency_correction=interval), fresh=True
    )
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    write_subnet(folder, ARCHITECTURE)
    for arguments in (["predict", "subnet.json"], ["tables", "check", "host"]):
        assert cli.run(arguments) == 2
        assert said in capsys.readouterr().err


def test_the_hint_of_a_missing_row_is_a_command_that_adds_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Off the resolutions of the space, each missing row is named once, and the hint says which to profile."""
    resolve_table_file(folder)
    write_subnet(folder, {**ARCHITECTURE, "r": 41})
    assert cli.run(["predict", "subnet.json", "--supernet", "starter"]) == 2
    said = capsys.readouterr().err
    assert "natdeploy profile --device host --supernet starter --resolutions 41" in said
    rows = said.split(" rows: ")[1].split("; and ")[0].splitlines()[0].split("; ")
    assert len(rows) == len(set(rows))


def test_missing_row_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A layer without a row is refused by its name, never priced at zero."""
    path = resolve_table_file(folder)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("pooling,1,")))
    write_subnet(folder, ARCHITECTURE)
    assert cli.run(["predict", "subnet.json"]) == 2
    assert "lacks 1 row: pooling 1x1" in capsys.readouterr().err


def test_target_that_nothing_meets(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 5, with the nearest architecture and its latency, before anything is trained."""
    path = folder.parent / "home" / "latency_tables" / "jetson-nano" / "tensorrt-fp16-b1-t1.csv"
    assert cli.run(["profile", "--device", "jetson-nano"]) == 0
    assert path.exists()
    assert cli.run(["search", "--target-latency", "jetson-nano=1us", "--json"]) == 5
    captured = capsys.readouterr()
    assert "the nearest takes" in captured.err
    assert json.loads(captured.out.splitlines()[-1])["error"]["code"] == "target-unreachable"
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("kind", ["empty", "one class", "corrupt"])
def test_bad_image_folder(kind: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An image folder that is empty, has one class or a corrupt image is refused with the file that is at fault."""
    assert cli.run(["profile", "--device", "jetson-nano"]) == 0
    images = folder / "images"
    for name in ("a", "b")[: 1 if kind == "one class" else 2]:
        (images / name).mkdir(parents=True)
        if kind == "corrupt":
            (images / name / "0.png").write_bytes(b"\x89PNG not an image")
        elif kind == "one class":
            Image.new("RGB", (80, 80)).save(images / name / "0.png")
    capsys.readouterr()
    assert cli.run(["search", "-d", "jetson-nano", "--data", "images"]) == 2
    error = capsys.readouterr().err
    assert {"empty": "images: holds no image", "one class": "at least two classes", "corrupt": "0.png"}[kind] in error
    assert not (folder / "runs").exists()


def test_unwritable_output(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An output that cannot be written is exit code 2, and names the place."""
    (folder / "file").write_text("")
    assert cli.run(["profile", "-d", "jetson-nano", "-o", "file/table.csv"]) == 2
    assert "file/table.csv" in capsys.readouterr().err
    assert cli.run(["profile", "-d", "jetson-nano", "-o", "/dev/full/table.csv"]) == 2
    assert "/dev/full" in capsys.readouterr().err


def test_full_disk_at_stdout_is_an_error(folder: Path) -> None:
    """A result that cannot be printed is exit code 2, not success."""
    with Path("/dev/full").open("w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "natdeploy", "devices", "--json"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert process.returncode == 2
    assert b"Traceback" not in process.stderr


def test_json_errors_are_one_document(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With `--json` an error is one JSON document on stdout too."""
    assert cli.run(["inspect", "nowhere.json", "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert set(document["error"]) == {"code", "message", "hint"}


def test_settings_file_gives_defaults_and_is_checked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """natdeploy.toml sets defaults that an option overrides; a key that no option has is refused."""
    (folder / "natdeploy.toml").write_text('[profile]\ndevice = "jetson-nano"\nresolutions = "32"\n')
    assert cli.run(["profile", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["resolutions"] == [32]
    assert cli.run(["profile", "--resolutions", "32,40", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["resolutions"] == [32, 40]
    (folder / "natdeploy.toml").write_text('[profile]\ndevise = "jetson-nano"\n')
    assert cli.run(["profile"]) == 2
    assert "[profile] has no option 'devise'" in capsys.readouterr().err


def test_environment_beats_the_settings_file(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """NATDEPLOY_<COMMAND>_<OPTION> wins over natdeploy.toml."""
    (folder / "natdeploy.toml").write_text('[profile]\ndevice = "jetson-nano"\nresolutions = "32"\n')
    monkeypatch.setenv("NATDEPLOY_PROFILE_RESOLUTIONS", "40")
    assert cli.run(["profile", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["resolutions"] == [40]


@pytest.mark.parametrize("way", ["file", "environment"])
def test_options_are_called_alike_everywhere(
    way: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options that may be repeated have their own names in natdeploy.toml and the environment too."""
    assert cli.run(["profile", "--device", "jetson-nano"]) == 0
    capsys.readouterr()
    if way == "file":
        text = (
            '[search]\ntarget-latency = ["1us"]\ndevice = ["jetson-nano"]\n[export]\nformat = ["tflit"]\njson = true\n'
        )
        (folder / "natdeploy.toml").write_text(text)
    else:
        monkeypatch.setenv("NATDEPLOY_SEARCH_TARGET_LATENCY", "1us")
        monkeypatch.setenv("NATDEPLOY_SEARCH_DEVICE", "jetson-nano")
        monkeypatch.setenv("NATDEPLOY_EXPORT_FORMAT", "tflit")
    assert cli.run(["search"]) == 5
    assert cli.run(["export", "08011001440551052208877"]) == 2
    assert "'tflit'" in capsys.readouterr().err


def test_a_misspelt_variable_is_not_ignored(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable of the command that names none of its options is refused; another unknown one is warned about."""
    monkeypatch.setenv("NATDEPLOY_PREDICT_DEVCIE", "host")
    assert cli.run(["predict", "subnet.json"]) == 2
    said = capsys.readouterr().err
    assert "NATDEPLOY_PREDICT_DEVCIE: natdeploy predict has no option 'devcie'; did you mean 'device'?" in said
    monkeypatch.setenv("NATDEPLOY_HOEM", "here")
    assert cli.run(["tables", "list"]) == 0
    said = capsys.readouterr().err
    assert "NATDEPLOY_HOEM is unknown; did you mean 'natdeploy_home'?" in said
    assert "PREDICT" not in said
    monkeypatch.setenv("NATDEPLOY_TABLES_LIST_JSN", "1")
    assert cli.run(["tables", "list"]) == 2


def list_commands(group: click.Group, ctx: click.Context) -> Iterator[click.Command]:
    """Return every command, those of groups too."""
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        yield from list_commands(command, ctx) if isinstance(command, click.Group) else [command]


def test_no_option_of_any_command_takes_an_empty_value(folder: Path) -> None:
    """An empty text is refused with the name of the option or argument, wherever it comes from."""
    tried = 0
    for command in list_commands(cli.cli, click.Context(cli.cli)):
        for parameter in command.params:
            if isinstance(parameter, click.Option) and (parameter.is_flag or parameter.count):
                continue
            given = [""] if isinstance(parameter, click.Argument) else [parameter.opts[-1], ""]
            with pytest.raises(click.BadParameter, match="it is empty") as refused:
                command.make_context("x", given)
            assert refused.value.param is parameter
            tried += 1
    assert tried > 100


def test_an_empty_value_in_the_settings_file_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A path that is empty in natdeploy.toml is not the current folder either."""
    (folder / "natdeploy.toml").write_text('[adapt]\noutput = ""\n')
    assert cli.run(["adapt", "--data", "digits"]) == 2
    assert "Invalid value for '-o' / '--output': it is empty" in capsys.readouterr().err


def test_an_option_that_takes_one_value_is_not_given_twice(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second value never replaces the first one in silence; repeatable options and flags may be repeated."""
    assert cli.run(["extract", "x.json", "--supernet", "starter", "-o", "a", "--output", "b"]) == 2
    assert "'--output': it is given 2 times, but takes one value" in capsys.readouterr().err
    assert cli.run(["adapt", "--sandwich", "--no-sandwich", "--data", "digits", "-o", "a"]) == 2
    assert "it is given 2 times" in capsys.readouterr().err
    assert cli.run(["devices", "--json", "--json"]) == 0
    assert cli.run(["export", "nowhere.json", "--format", "onnx", "--format", "tflite"]) == 2
    assert "nowhere.json: no such file" in capsys.readouterr().err


def test_unknown_table_in_the_settings_file_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt command in natdeploy.toml is an error, not silence."""
    (folder / "natdeploy.toml").write_text("[serach]\nseed = 1\n")
    assert cli.run(["devices"]) == 2
    assert "'serach' is not a command" in capsys.readouterr().err


def test_help_loads_only_click_and_lazy_loader(folder: Path) -> None:
    """`natdeploy --help` imports no packages but click and lazy_loader, so that it is fast."""
    bare, ours = (loaded_packages(code) for code in ("import click", "from natdeploy import cli; cli.run(['--help'])"))
    assert ours - bare == {"natdeploy", "lazy_loader"}


def test_importing_natdeploy_does_not_import_torch(folder: Path) -> None:
    """`import natdeploy` is light; its functions appear when they are used."""
    code = "import natdeploy, sys; assert 'torch' not in sys.modules; print(natdeploy.predict.__name__)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "predict"


@pytest.mark.parametrize("name", ["profilers", "export"])
def test_packages_refuse_another_name(name: str) -> None:
    """The top-level folders cannot be imported under a second name."""
    root = Path(cli.__file__).parents[2]
    process = subprocess.run([sys.executable, "-c", f"import {name}"], cwd=root, capture_output=True, check=False)
    assert f"natdeploy.{name}".encode() in process.stderr


def loaded_packages(code: str) -> set[str]:
    """Return the top-level packages outside Python's own library that a process has loaded after some code."""
    process = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print('modules', *sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    modules = process.stdout.splitlines()[-1].split()[1:]
    return {module.partition(".")[0] for module in modules} - set(sys.stdlib_module_names)


def test_training_values_of_the_preset_can_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every option of training steps replaces the preset's value by that name, and what is not given stays."""
    presets = []

    def stopped(**given: Any) -> None:
        presets.append(api.find_preset(given["preset"] or "quick", given["changes"]))
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "search", stopped)
    options = "--lr 0.02 --weight-decay 1e-3 --label-smoothing 0 --subnets 3 --cutmix 0.5 --hard-label-weight 1"
    assert cli.run(["search", *options.split(), "--no-distillation", "--sandwich"]) == 130
    assert cli.run(["search"]) == 130
    changes = {
        "lr": 0.02,
        "weight_decay": 1e-3,
        "label_smoothing": 0.0,
        "subnets": 3,
        "distillation": False,
        "hard_label_weight": 1.0,
        "cutmix": 0.5,
        "sandwich": True,
    }
    quick = api.find_preset("quick")
    changed = dataclasses.replace(quick, recipe=dataclasses.replace(quick.recipe, **changes))
    assert presets == [changed, quick]
