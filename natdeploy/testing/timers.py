"""Contract suite for timers of model files: subclass `ModelTimerContract` and override its first two fixtures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from natdeploy.core.architecture import uniform
from natdeploy.core.layers import Layer, walk
from natdeploy.errors import InputError
from natdeploy.io.spaces import find_space
from natdeploy.ports import Exporter, ModelTimer
from natdeploy.profilers.in_context import compute_layer_shares
from natdeploy.profilers.model_files import ModelFiles


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """A model file and the layers of its network."""

    path: Path
    layers: tuple[Layer, ...]


class ModelTimerContract:
    """Tests of a timer, with a small and a large network that an exporter writes for it.

    Use a timer with as few rounds as possible: the tests compare which latency is larger, not how exact it is.
    """

    @pytest.fixture(scope="class")
    @classmethod
    def timer(cls) -> ModelTimer:
        """Return the timer to test."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def exporter(cls) -> Exporter:
        """Return an exporter that writes files for the timer."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def models(cls, exporter: Exporter, tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Model]:
        """Write the files. The second network has about forty times the multiply-adds of the first."""
        files = ModelFiles(exporter, tmp_path_factory.mktemp("models"), seed=0)
        small, large = (
            walk(find_space("starter"), uniform(find_space("starter"), width=0.5, **choices), 10)
            for choices in (
                {"resolution": 32, "depth": 2, "kernel": 3, "expand_ratio": 3},
                {"resolution": 64, "depth": 4, "kernel": 7, "expand_ratio": 6},
            )
        )
        return Model(path=files.path(small), layers=small), Model(path=files.path(large), layers=large)

    def test_suffix_is_that_of_the_files(self, timer: ModelTimer, exporter: Exporter) -> None:
        """The files that the timer takes have its suffix."""
        assert timer.suffix == exporter.suffix

    def test_version_and_fingerprint_stay(self, timer: ModelTimer) -> None:
        """Version and fingerprint are one line each and do not change. The fingerprint contains the version."""
        version, fingerprint = timer.version(), timer.fingerprint()
        assert version.strip()
        assert version in fingerprint
        assert "\n" not in fingerprint
        assert (timer.version(), timer.fingerprint()) == (version, fingerprint)

    def test_conditions_and_protocol_fit_a_table(self, timer: ModelTimer) -> None:
        """Both map names to plain values, as the header of a latency table requires."""
        for values in (timer.conditions(), timer.protocol()):
            assert values
            assert json.loads(json.dumps(values, allow_nan=False)) == values

    def test_less_effort_is_never_more(self, timer: ModelTimer, models: tuple[Model, Model]) -> None:
        """With less effort, no number of the protocol grows and fewer runs are made, on the same device and runtime."""
        before = timer.protocol()
        less = timer.with_effort(0.25)
        assert type(less) is type(timer)
        assert timer.protocol() == before == timer.with_effort(1.0).protocol()
        assert all(value <= _numbers(before)[name] for name, value in _numbers(less.protocol()).items())
        assert (less.suffix, less.fingerprint()) == (timer.suffix, timer.fingerprint())
        (usual,), (quick,) = (one.time([models[0].path], seed=0).stats for one in (timer, less))
        assert 0 < quick.runs < usual.runs

    def test_latencies_belong_to_their_files(self, timer: ModelTimer, models: tuple[Model, Model]) -> None:
        """Each file gets its own latency, in the order of the files, even if it is listed twice."""
        small, large = (model.path for model in models)
        first, second, third = timer.time([large, small, small], seed=0).stats
        assert 0 < max(second.median_ms, third.median_ms) < first.median_ms
        for stats in (first, second, third):
            assert stats.p10_ms <= stats.median_ms <= stats.p90_ms
            assert stats.runs > 0

    def test_no_file_has_no_latency(self, timer: ModelTimer) -> None:
        """An empty list of files gives an empty result without an error."""
        assert timer.time([], seed=0).stats == ()

    def test_operators_tell_the_layers_apart(self, timer: ModelTimer, models: tuple[Model, Model]) -> None:
        """Each file gets its own operators, whose times are assigned to all of its layers; or there are none."""
        paths = [model.path for model in models]
        if not timer.times_operators:
            with pytest.raises(InputError, match=r"does not tell how long each operator|cannot time each layer"):
                timer.operators(paths, seed=0)
            return
        for model, profile in zip(models, timer.operators(paths, seed=0), strict=True):
            assert profile.times_us.shape == (len(profile.times_us), len(profile.nodes))
            assert np.isfinite(profile.times_us).all()
            assert profile.times_us.min() >= 0
            shares = compute_layer_shares(model.layers, profile)
            assert len(shares) == len(model.layers)
            assert min(shares.values()) > 0
            assert sum(shares.values()) == pytest.approx(1)

    def test_a_file_that_is_not_there_is_refused(self, timer: ModelTimer, tmp_path: Path) -> None:
        """The error names the file."""
        with pytest.raises(InputError, match=rf"missing\{timer.suffix}: no such file"):
            timer.time([tmp_path / f"missing{timer.suffix}"], seed=0)

    def test_a_file_that_is_no_model_is_refused(
        self, timer: ModelTimer, models: tuple[Model, Model], tmp_path: Path
    ) -> None:
        """A bad file is bad input, not a lost device, and the next file is timed normally."""
        damaged = tmp_path / f"damaged{timer.suffix}"
        damaged.write_bytes(b"not a model\n" * 20)
        with pytest.raises(InputError):
            timer.time([models[0].path, damaged], seed=0)
        assert timer.time([models[0].path], seed=0).stats[0].median_ms > 0

    def test_files_are_left_as_they_were(
        self, timer: ModelTimer, models: tuple[Model, Model], capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Timing changes no file, leaves no new file and prints nothing, not even from native code."""
        path = models[0].path
        content, beside = path.read_bytes(), sorted(path.parent.iterdir())
        capfd.readouterr()
        timer.time([path], seed=0)
        if timer.times_operators:
            timer.operators([path], seed=0)
        assert capfd.readouterr() == ("", "")
        assert path.read_bytes() == content
        assert sorted(path.parent.iterdir()) == beside


def _numbers(protocol: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in protocol.items() if isinstance(value, int | float)}
