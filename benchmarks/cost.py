"""Prints how many architectures per second the cost array computes, and how much faster it is than a walk over a dict.

Run: python benchmarks/cost.py
"""

from __future__ import annotations

import time

import numpy as np

from natdeploy.core.cost import CostArray, compile_cost, madds_array, params_array
from natdeploy.core.genotype import Population, sample
from natdeploy.io.spaces import find_space
from natdeploy.testing.tables import made_up_table

COUNT, WALKED = 1_000_000, 20_000


def dict_walk(array: CostArray, population: Population) -> list[float]:
    """Sum layers that are looked up one by one under (width, resolution, slot, gene)."""
    table = {place: float(value) for place, value in np.ndenumerate(array.blocks)}
    fixed = {place: float(value) for place, value in np.ndenumerate(array.fixed)}
    return [
        fixed[row[1], row[0]] + sum(table[row[1], row[0], slot, gene] for slot, gene in enumerate(row[2:]))
        for row in population.tolist()
    ]


def main() -> None:
    """Print the table."""
    space = find_space("nat")
    population = sample(space, COUNT, np.random.default_rng(0))
    table = made_up_table(space)
    arrays = {
        "latency": compile_cost(space, 1000, table.layer_ms),
        "MAdds": madds_array(space, 1000),
        "params": params_array(space, 1000),
    }
    print(f"{'cost':<10}{'million/s':>10}{'dict walk, million/s':>22}{'ratio':>8}")
    for name, array in arrays.items():
        seconds = min(_seconds(array, population) for _ in range(5)) / COUNT
        began = time.perf_counter()
        dict_walk(array, population[:WALKED])
        walk = (time.perf_counter() - began) / WALKED
        print(f"{name:<10}{1e-6 / seconds:>10.1f}{1e-6 / walk:>22.3f}{walk / seconds:>8.0f}")


def _seconds(array: CostArray, population: Population) -> float:
    began = time.perf_counter()
    array(population)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
