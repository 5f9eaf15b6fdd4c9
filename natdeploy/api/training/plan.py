"""The settings of elastic training. Imports nothing heavy."""

from __future__ import annotations

import dataclasses

import numpy as np

from natdeploy.api.training.settings import TrainingSettings
from natdeploy.core.checked import check_fields
from natdeploy.core.genotype import Population, explain_unfit_genotype
from natdeploy.core.ranges import Positive
from natdeploy.core.space import SearchSpace
from natdeploy.documents import parse_whole_number
from natdeploy.errors import InputError
from natdeploy.io.spaces import find_recorded_space


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrainingPlan:
    """All settings of elastic training, as `run.toml` records them.

    Args:
        supernet: Name of the search space, or the absolute path of its file.
        resolutions: Input sizes that are trained.
        widths: Widths that are trained.
        data: Name of the data set, or its absolute folder.
        settings: Epochs, recipe, tests and seed.
        threads: Threads of each process.
        weights: Initial weights, as in `SearchPlan`. Empty for random weights.
        weights_sha256: Hashes of their files.
        normalization: Mean and standard deviation of the colour channels that the initial weights were trained with.
            Empty: those of the train images.
        original: Pretrained network that becomes the largest one: a name of `natdeploy.io.pretrained_networks`, or an
            absolute path. Empty for none.
        original_sha256: Hash of its file.
        space_sha256: Hash of the networks of the space when the run started. Empty if it was not recorded.
        population: Genotypes as text. Subnets are drawn from their marginals, or uniformly if there are none.

    Raises:
        InputError: A number is out of range.
    """

    supernet: str
    resolutions: tuple[int, ...]
    widths: tuple[float, ...]
    data: str
    settings: TrainingSettings
    threads: Positive
    weights: str = ""
    weights_sha256: tuple[str, ...] = ()
    normalization: tuple[tuple[float, float, float], ...] = ()
    original: str = ""
    original_sha256: str = ""
    space_sha256: str = ""
    population: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def genotypes(self) -> Population | None:
        """Genotypes from whose marginals subnets are drawn; None if they are drawn uniformly.

        Raises:
            InputError: A text is not a genotype of the space.
        """
        space, rows = self.space, []
        for text in self.population:
            # What is no whole number becomes one that is out of range.
            rows.append([-1 if (gene := parse_whole_number(part)) is None else gene for part in text.split()])
            unfit = explain_unfit_genotype(space, rows[-1])
            if unfit is not None:
                msg = f"population: {text[:60]!r} is not a genotype of {space.name}: {unfit}"
                raise InputError(msg)
        return np.array(rows, dtype=np.int64) if rows else None

    def check_space(self) -> None:
        """Check that the space is as it was when the run started, and contains the population.

        Raises:
            InputError: It is not so.
        """
        _ = self.space, self.genotypes

    @property
    def space(self) -> SearchSpace:
        """The search space.

        Raises:
            InputError: It has changed since the run started, or its file is missing.
        """
        space = find_recorded_space(self.supernet, self.space_sha256)
        return dataclasses.replace(space, resolutions=self.resolutions, widths=self.widths)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrainingMode:
    """The difference between adaptation and pretraining.

    Args:
        command: Name of the command, and of its section in `run.toml`.
        stage: Name of the work in progress messages.
        holds_out_validation: Whether validation images are not trained on, because a later choice depends on them.
            The accuracy is then measured on them, otherwise on the test images.
    """

    command: str
    stage: str
    holds_out_validation: bool

    @property
    def split(self) -> str:
        """Name of the split on which the accuracy is measured."""
        return "validation" if self.holds_out_validation else "test"
