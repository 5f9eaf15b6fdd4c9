"""The wheel and the source archive: what they hold, and that an installed wheel works without the sources."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from natdeploy.version import __version__

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "natdeploy", "profilers", "export", "latency_tables")
TINY = "--initial 6 --iterations 1 --candidates 2 --warmup-epochs 1 --adapt-epochs 1 --resolutions 32 --threads 1"
Command = Callable[..., str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A source archive, the wheel that was built of it, and the wheel that was built of the tree."""

    archive: Path
    wheel_of_archive: Path
    wheel: Path


@pytest.fixture(scope="module")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Distribution:
    """Build from a copy of the tree, so that no build folder is left in it."""
    folder = tmp_path_factory.mktemp("distribution")
    tree = folder / "tree"
    tree.mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tree / name)
    _build(tree, "--outdir", folder / "archive")
    _build(tree, "--wheel", "--outdir", folder / "wheel")
    wheel = f"natdeploy-{__version__}-py3-none-any.whl"
    return Distribution(
        archive=folder / "archive" / f"natdeploy-{__version__}.tar.gz",
        wheel_of_archive=folder / "archive" / wheel,
        wheel=folder / "wheel" / wheel,
    )


@pytest.fixture(scope="module")
def installed(distribution: Distribution, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """Return a function that runs a command line of the installed wheel, in a folder without the sources.

    The dependencies are those of the running environment, which a `.pth` file adds.
    """
    folder = tmp_path_factory.mktemp("installed")
    environment = folder / "environment"
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    install = f"-m pip --python {python} install --quiet --no-deps --no-index {distribution.wheel}"
    _run([sys.executable, *install.split()])
    (packages,) = environment.glob("lib/python*/site-packages")
    borrowed = [path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}]
    (packages / "borrowed.pth").write_text("\n".join(borrowed) + "\n")
    work = folder / "work"
    work.mkdir()
    unset = ("PYTHONPATH", "VIRTUAL_ENV")
    variables = {name: value for name, value in os.environ.items() if name not in unset and "NATDEPLOY" not in name}

    def run(program: str, *arguments: str) -> str:
        return _run(
            [environment / "bin" / program, *arguments], cwd=work, env=variables | {"NATDEPLOY_HOME": str(work)}
        )

    origin = run("python", "-c", "import natdeploy; print(natdeploy.__file__)")
    assert Path(origin.strip()).is_relative_to(packages)
    return run


def test_the_wheel_of_the_archive_is_the_wheel_of_the_tree(distribution: Distribution) -> None:
    """Both wheels hold the same files with the same content."""
    assert _content(distribution.wheel_of_archive) == _content(distribution.wheel)


def test_the_wheel_holds_every_file_of_the_package(distribution: Distribution) -> None:
    """Sources, weights, latency tables, device descriptions and the mark of a typed package are inside."""
    expected = {
        str(path.relative_to(ROOT))
        for path in _files(ROOT / "natdeploy")
        if path.suffix != ".pyc" and not path.name.startswith(".")
    }
    held = {name for name in _content(distribution.wheel) if name.startswith("natdeploy/")}
    assert held == expected
    assert {"natdeploy/py.typed", "natdeploy/weights/starter.safetensors"} <= held
    assert "natdeploy/profilers/devices/jetson-nano.toml" in held
    assert "natdeploy/latency_tables/jetson-nano/tensorrt-fp16-b1-t1.csv" in held


def test_the_licence_is_in_both(distribution: Distribution) -> None:
    """Wheel and source archive hold the text of the licence, and the wheel names it."""
    text = (ROOT / "LICENSE").read_bytes()
    content = _content(distribution.wheel)
    about = f"natdeploy-{__version__}.dist-info"
    assert content[f"{about}/licenses/LICENSE"] == text
    assert b"\nLicense-Expression: Apache-2.0\n" in content[f"{about}/METADATA"]
    with tarfile.open(distribution.archive) as archive:
        held = archive.extractfile(f"natdeploy-{__version__}/LICENSE")
        assert held is not None
        assert held.read() == text


def test_an_installed_wheel_profiles_searches_inspects_and_exports(installed: Command) -> None:
    """The main commands work from another folder, on packaged tables, weights and device descriptions."""
    assert installed("natdeploy", "--version").split()[-1] == __version__
    profile = json.loads(installed("natdeploy", "profile", "--device", "jetson-nano", "--json"))
    assert profile["provenance"] == "estimated"
    search = json.loads(installed("natdeploy", "search", "--device", "jetson-nano", *TINY.split(), "--json"))
    assert search["ok"] is True
    inspected = json.loads(installed("natdeploy", "inspect", "subnet.json", "--json"))
    assert inspected["madds"] == sum(layer["madds"] for layer in inspected["layers"])
    exported = json.loads(installed("natdeploy", "export", "subnet.json", "--format", "onnx", "--json"))
    assert exported["parity"]["passed"] is True


def _build(tree: Path, *options: str | Path) -> None:
    _run([sys.executable, "-m", "build", "--no-isolation", *options, tree])


def _run(command: list[str | Path], **options: object) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _content(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _files(folder: Path) -> list[Path]:
    """Return the files below a folder; links to folders are followed."""
    found = []
    for path in folder.iterdir():
        found += _files(path) if path.is_dir() else [path]
    return found
