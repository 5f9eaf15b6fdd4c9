"""Every reader of natdeploy, with whole files that it reads."""

from tests.fuzz.corpus.binaries import make_binary_readers, make_model_readers
from tests.fuzz.corpus.documents import make_settings_readers, make_subnet_readers
from tests.fuzz.corpus.reader import Reader
from tests.fuzz.corpus.runs import make_run_readers
from tests.fuzz.corpus.tables import make_table_readers

__all__ = ["Reader", "make_readers"]


def make_readers() -> list[Reader]:
    """Return every reader."""
    return [
        *make_table_readers(),
        *make_settings_readers(),
        *make_subnet_readers(),
        *make_run_readers(),
        *make_binary_readers(),
        *make_model_readers(),
    ]
