"""Reads damaged files for some time: `python -m tests.fuzz --seconds 600 --seed 1`."""

from __future__ import annotations

import argparse
import hashlib
import itertools
import sys
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.campaign import Failure, try_damaged
from tests.fuzz.corpus import make_readers

_ROUND = 100


def main() -> int:
    """Try damaged files of every reader in turn until the time is over; the exit code is 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long [default: 60]")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first round [default: 1]")
    parser.add_argument("--reader", default="", help="only readers whose name contains this")
    parser.add_argument("--output", type=Path, default=Path("fuzz-failures"), help="folder of files that failed")
    given = parser.parse_args()
    readers = [reader for reader in make_readers() if given.reader in reader.name]
    end, counts = time.monotonic() + given.seconds, Counter[str]()
    failures: dict[tuple[str, str], Failure] = {}
    for seed in itertools.count(given.seed):
        for reader in readers:
            if time.monotonic() >= end:
                return _report(counts, failures, given.seed, seed)
            tried, failed = try_damaged(reader, count=_ROUND, seed=seed)
            counts[reader.name] += tried
            for failure in failed:
                if failures.setdefault((reader.name, failure.place), failure) is failure:
                    _keep(failure, reader.file, given.output)
    raise AssertionError


def _keep(failure: Failure, name: str, folder: Path) -> None:
    digest = hashlib.sha256(failure.content).hexdigest()[:8]
    path = folder / digest / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(failure.content)
    print(f"{failure.reader}: {path}\n{failure.reason}", flush=True)  # noqa: T201


def _report(counts: Counter[str], failures: dict[tuple[str, str], Failure], first: int, last: int) -> int:
    for name, count in sorted(counts.items()):
        print(f"{count:8,}  {name}")  # noqa: T201
    total = f"{sum(counts.values()):,} damaged files of {len(counts)} readers, seeds {first} to {last}"
    print(f"{total}: {len(failures) or 'no'} failures")  # noqa: T201
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
