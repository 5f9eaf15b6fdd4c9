"""The hooks of pre-commit."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_the_hooks_run_the_commands_of_make_check() -> None:
    """Every command of `make check`, which builds the documentation too, is a hook, and there is no other."""
    commands = [*_recipe("check"), *_recipe("docs")]
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert sorted(hook["entry"].removeprefix("env ") for hook in local["hooks"]) == sorted(commands)


def _recipe(target: str) -> list[str]:
    makefile = (ROOT / "Makefile").read_text()
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert found is not None
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in found[1].splitlines()]
