"""Accuracies that need no network."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from natdeploy.api.searching.archive import TrainedSubnets
from natdeploy.api.training.guessing import warn_of_guessing
from natdeploy.io.datasets import load_task
from natdeploy.supernet.data import ImageSet
from natdeploy.testing.fakes import RecordingReporter


@pytest.fixture(scope="module")
def task():
    """The digits, whose test images are 6 of digit 3 and 4 of others."""
    digits = load_task("digits", 8)
    labels = torch.tensor([3] * 6 + [0, 1, 2, 9])
    return dataclasses.replace(digits, test=ImageSet(images=digits.test.images[:10], labels=labels))


@pytest.mark.parametrize(("top1", "told"), [(0.0, True), (0.59, True), (0.6, True), (0.61, False), (1.0, False)])
def test_an_accuracy_that_needs_no_network_is_told(task, top1, told):
    """A network that is right no more often than the most frequent class has learned nothing that counts."""
    reporter = RecordingReporter()
    warn_of_guessing(top1, task, task.test, reporter)
    assert bool(reporter.warnings) == told
    if told:
        assert (
            f"top-1 {top1:.3f} is no better than calling every image '3', which is right for 0.600"
            in (reporter.warnings[0])
        )


@pytest.mark.parametrize(("top1", "warned"), [(0.5, 1), (0.9, 0)])
def test_a_choice_that_guesses_is_told_when_it_is_tested(task, monkeypatch, top1, warned):
    """The accuracy of a choice is compared once, with the test images."""
    reporter, recorded = RecordingReporter(), []
    run = SimpleNamespace(
        events=lambda _: [{"genotype": [1], "top1": top1} for _ in recorded],
        record=lambda *event: recorded.append(event),
    )
    archive = SimpleNamespace(top1=torch.tensor([0.7]).numpy(), genotypes=torch.tensor([[1]]).numpy())
    selector = SimpleNamespace(archive=archive, run=run, context=SimpleNamespace(reporter=reporter))
    monkeypatch.setattr(TrainedSubnets, "_network", lambda *_: None)
    monkeypatch.setattr(TrainedSubnets, "_test_top1", lambda *_: top1)
    subnets = TrainedSubnets(selector=selector, evaluator=SimpleNamespace(task=task))
    for _ in range(2):
        assert subnets.top1(0).value == top1
    assert len(reporter.warnings) == warned
