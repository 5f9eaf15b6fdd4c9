"""Dictionaries as Python prints them."""

from collections import OrderedDict

import numpy as np
import pytest

from natdeploy.errors import InputError
from natdeploy.io.python_repr import parse_python
from natdeploy.io.subnets import read_subnet

BARE = {"wid": None, "ks": [3] * 10, "e": [3] * 10, "d": [2] * 5, "r": [208]}


@pytest.mark.parametrize(
    "printed",
    [
        repr(BARE),
        repr({**BARE, "ks": tuple(BARE["ks"]), "r": (208,)}),
        repr({**BARE, "r": np.int64(208)}),
        repr({**BARE, "d": np.array(BARE["d"])}),
        repr(OrderedDict(BARE)),
        f"\ufeff{BARE!r}\n",
    ],
)
def test_an_architecture_that_python_printed_is_read(tmp_path, printed):
    """Lists, tuples, NumPy's numbers and arrays, None, and a byte order mark are those of a finder's output."""
    (tmp_path / "a.txt").write_text(printed, encoding="utf-8")
    read = read_subnet(tmp_path / "a.txt", width=1.0).architecture
    assert (read.resolution, read.kernels, read.depths) == (208, (3,) * 10, (2,) * 5)


def test_the_output_of_a_finder_is_read(shared_data):
    """The dictionary of Once-for-All's finder, padded to twenty entries, is an architecture once its width is given."""
    read = read_subnet(shared_data / "cases" / "subnets" / "s01_python_repr.txt", width=1.0).architecture
    assert (read.resolution, read.depths, len(read.kernels)) == (208, (3, 4, 2, 3, 2), 14)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{'r': __import__('os').getcwd()}", "is no dictionary, list, number or text"),
        ("{'r': [i for i in 'a']}", "is no dictionary"),
        ("{'r': 1e999}", "not a finite number"),
        ("{'r': nan}", "is no dictionary"),
        ("{'r': OrderedDict([1, 'ab'])}", "is no dictionary"),
        ("{'r': 3, 'r': 4}", "key 'r' is repeated"),
        ("{'r': 3, **{'d': 4}}", "key None is no text"),
        ("{'r': 3", "not what Python prints"),
        ("{'r': " + "[" * 5000, "not what Python prints"),
        ("{'r': " + "-" * 50000 + "1}", "not what Python prints"),
        ("{'r': " + "1," * 90000 + "}", "longer than 100,000 characters"),
    ],
)
def test_anything_else_is_refused_and_nothing_is_evaluated(tmp_path, text, reason):
    """Calls, comprehensions, repeated keys, and what is too deep or too long are one error."""
    with pytest.raises(ValueError, match=reason):
        parse_python(text)
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(InputError, match=r"a\.txt: neither JSON nor a dictionary that Python printed: "):
        read_subnet(tmp_path / "a.txt")
