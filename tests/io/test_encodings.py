"""The NAT authors' strings."""

import pytest

from natdeploy.core.architecture import Architecture, largest, smallest
from natdeploy.errors import InputError
from natdeploy.io.encodings import from_encoding, to_encoding
from natdeploy.io.spaces import find_space
from tests.support.published import PUBLISHED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0801100144055105220887", "23 digits"),
        ("080110014405510522088771", "23 digits"),
        ("0801100144055105220887x", "23 digits"),
        ("\u0660801100144055105220887"[:23].ljust(23, "1"), "23 digits"),
        ("17011001440551052208877", r"integer 0 \(17\)"),
        ("08211001440551052208877", r"integer 1 \(2\)"),
        ("08001001440551052208877", r"integer 2 \(0\)"),
        ("08011011040551052208877", "integer 4"),
    ],
)
def test_strings_that_are_no_encoding_are_refused(text, message):
    """A string of another length, out of range or not canonical is refused with the place."""
    with pytest.raises(InputError, match=message):
        from_encoding(text)


def test_only_nat_has_encodings():
    """An architecture of another width or off the list of resolutions has no string."""
    nat = from_encoding(PUBLISHED[0].encoding)
    assert to_encoding(smallest(find_space("starter"))) is None
    assert to_encoding(largest(find_space("ofa-mbv3-w1.2"))) == "161" + "9" * 20
    off_list = Architecture(
        resolution=223, width=nat.width, depths=nat.depths, kernels=nat.kernels, expand_ratios=nat.expand_ratios
    )
    assert to_encoding(off_list) is None
