"""Reading the tables that commands write."""

import csv
from pathlib import Path


def rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open() as handle:
        return list(csv.DictReader(handle))
