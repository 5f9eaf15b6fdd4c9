"""Packaged tables that were measured: a cloud machine's, for both runtimes of a CPU."""

from __future__ import annotations

import pytest

from natdeploy import api
from natdeploy.core.device import TableSelector, find_deployment
from natdeploy.core.latency import CLASSIFIER_COUNTS
from natdeploy.core.table_checks import ERROR
from natdeploy.io.devices import find_device
from natdeploy.io.spaces import find_space
from natdeploy.io.table_store import find_table

TABLES = (("onnxruntime", 1), ("onnxruntime", 2), ("litert", 1))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Give the user an empty home folder."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path))


@pytest.mark.parametrize(("runtime", "threads"), TABLES)
def test_the_cloud_machine_has_measured_tables_of_both_spaces(runtime, threads):
    """They cover every resolution of `starter` and of both widths, and say how far they were off on whole networks."""
    stored = find_table(find_deployment(find_device("server-cpu"), TableSelector(runtime=runtime, threads=threads)))
    assert stored is not None
    assert stored.packaged
    table = stored.read()
    assert table.provenance == "measured"
    assert table.validation is not None
    assert table.validation.kendall_tau > 0.95
    assert table.latency_correction is not None
    for space in (find_space("starter"), find_space("nat")):
        for classes in CLASSIFIER_COUNTS:
            assert table.find_covered_resolutions(space, classes) == space.resolutions


@pytest.mark.parametrize(("runtime", "threads"), TABLES)
def test_nothing_is_wrong_with_them(runtime, threads):
    """`tables check` finds no error in a packaged measurement."""
    found = api.check_table("server-cpu", selector=TableSelector(runtime=runtime, threads=threads)).findings
    assert [finding for finding in found if finding.severity == ERROR] == []
