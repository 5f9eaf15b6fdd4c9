"""What elastic training is asked for. Imports nothing heavy."""

from __future__ import annotations

import dataclasses

from natdeploy.core.ranges import NonNegative, Positive, check_ranges
from natdeploy.core.space import SearchSpace, find_space
from natdeploy.supernet.recipe import Recipe


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrainingPlan:
    """Everything that decides what elastic training does; what `run.toml` holds.

    Args:
        supernet: Name of the search space.
        resolutions: Input sizes that are trained.
        widths: Widths that are trained.
        data: Name of the data set, or its absolute folder.
        epochs: Epochs in all.
        largest_only_epochs: How many of them, at the beginning, train the largest network alone.
        samples: Random subnets that are tested at the end, beside the largest and the smallest.
        seed: Seed.
        threads: Threads of each process.
        recipe: How each step is made.
        weights: Initial weights, as in `SearchPlan`. Empty for random weights.
        weights_sha256: Hashes of their files.
        population: Genotypes as text, from whose marginals subnets are drawn. Uniformly where empty.

    Raises:
        InputError: A number is out of range.
    """

    supernet: str
    resolutions: tuple[int, ...]
    widths: tuple[float, ...]
    data: str
    epochs: Positive
    largest_only_epochs: NonNegative
    samples: NonNegative
    seed: NonNegative
    threads: Positive
    recipe: Recipe
    weights: str = ""
    weights_sha256: tuple[str, ...] = ()
    population: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        return dataclasses.replace(find_space(self.supernet), resolutions=self.resolutions, widths=self.widths)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrainingMode:
    """What kind of training it is.

    Args:
        command: The command, which its settings are called by.
        stage: What its progress is called.
        holds_out_validation: Whether validation images are kept apart, because something is chosen by them later. They
            then tell the accuracy. Otherwise they are trained on too, and the test images tell it.
    """

    command: str
    stage: str
    holds_out_validation: bool

    @property
    def split(self) -> str:
        """Name of the split that tells the accuracy."""
        return "validation" if self.holds_out_validation else "test"
