"""The NAT authors' net.config."""

import copy

import pytest

from natdeploy.core.architecture import Architecture
from natdeploy.errors import InputError
from natdeploy.io.encodings import from_encoding
from natdeploy.io.netconfig import read_net_config
from tests.support.netconfigs import net_config
from tests.support.published import PUBLISHED


@pytest.fixture
def content():
    """A net.config of the first published subnet."""
    return net_config(from_encoding(PUBLISHED[0].encoding))


@pytest.mark.parametrize("subnet", PUBLISHED, ids=str)
def test_published_networks_are_read(subnet):
    """Each published subnet, written out layer by layer, is read as its own architecture and count of classes."""
    architecture = from_encoding(subnet.encoding)
    read = read_net_config(net_config(architecture, classes=subnet.classes))
    assert read.architecture == architecture
    assert (read.classes, read.activation, read.dropout) == (subnet.classes, None, 0.0)


def test_mish_and_dropout_are_read(content):
    """A network that has Mish in every block is one with Mish; the classifier's dropout is kept."""
    read = read_net_config(net_config(from_encoding(PUBLISHED[2].encoding), activation="mish", dropout=0.2))
    assert (read.activation, read.dropout) == ("mish", 0.2)


def test_a_missing_size_is_224(content):
    """Files without `img_size` are of 224 pixels; others may have any size of at least 32."""
    content.pop("img_size", None)
    assert read_net_config(content).architecture.resolution == 224
    content["img_size"] = 233
    assert read_net_config(content).architecture.resolution == 233


def test_channels_inside_may_be_given(content):
    """Channels inside a block may be written out, and must be those of its ratio."""
    block = content["blocks"][1]["mobile_inverted_conv"]
    block["mid_channels"] = 48
    assert read_net_config(content).architecture == from_encoding(PUBLISHED[0].encoding)
    block["mid_channels"] = 56
    with pytest.raises(InputError, match=r"blocks\[1\]\.mid_channels is 56; in the nat space it is 48"):
        read_net_config(content)


@pytest.mark.parametrize("key", ["first_conv", "blocks", "classifier"])
def test_a_missing_part_is_named(content, key):
    """A file without one of its parts is refused with the key."""
    del content[key]
    with pytest.raises(InputError, match=f"^{key}: missing"):
        read_net_config(content)


def block_of(content):
    """Return the third block."""
    return content["blocks"][2]["mobile_inverted_conv"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(blocks={}), "blocks: wrong type dict"),
        (lambda c: c.update(blocks=[]), "blocks: lists 0 blocks"),
        (lambda c: c["blocks"].insert(3, 7), r"blocks\[3\]: expected an object, not int"),
        (lambda c: c["blocks"][2].pop("mobile_inverted_conv"), r"blocks\[2\]\.mobile_inverted_conv: missing"),
        (lambda c: block_of(c).pop("kernel_size"), r"blocks\[2\]\.kernel_size: missing"),
        (lambda c: block_of(c).update(kernel_size="3"), r"blocks\[2\]\.kernel_size: wrong type str"),
        (lambda c: block_of(c).update(kernel_size=True), r"blocks\[2\]\.kernel_size: wrong type bool"),
        (lambda c: block_of(c).update(kernel_size=9), r"ks\[1\] is 9"),
        (lambda c: block_of(c).update(expand_ratio=4.5), r"blocks\[2\]\.expand_ratio is 4\.5, not one of \[3, 4, 6\]"),
        (lambda c: block_of(c).update(expand_ratio=float("inf")), r"blocks\[2\]\.expand_ratio is inf"),
        (lambda c: block_of(c).pop("in_channels"), r"blocks\[2\]\.in_channels is None; in the nat space it is 24"),
        (lambda c: block_of(c).update(out_channels=32), r"blocks\[2\]\.out_channels is 32; in the nat space it is 24"),
        (lambda c: block_of(c).update(stride=2), r"blocks\[2\]\.stride is 2"),
        (lambda c: block_of(c).update(use_se=True), r"blocks\[2\]\.use_se is True"),
        (lambda c: block_of(c).update(act_func="mish"), "act_func: the blocks have h_swish, mish, relu"),
        (lambda c: block_of(c).update(act_func=None), "act_func: the blocks have None"),
        (lambda c: c["blocks"][1].update(shortcut={}), r"blocks\[1\]\.shortcut: the first searchable block"),
        (lambda c: c["blocks"][2].update(shortcut=None), "d lists 6 stages"),
        (lambda c: c["first_conv"].update(out_channels=20), "first_conv.out_channels: no width .* 20 channels"),
        (lambda c: c["classifier"].pop("out_features"), "classifier.out_features: missing"),
        (lambda c: c["classifier"].update(out_features=0), "classifier.out_features is 0, not between 1"),
        (lambda c: c["classifier"].update(dropout_rate=1.5), "classifier.dropout_rate is 1.5, not between 0 and 1"),
        (lambda c: c["classifier"].update(dropout_rate=None), "classifier.dropout_rate: wrong type NoneType"),
        (lambda c: c.update(img_size="224"), "img_size: wrong type str"),
        (lambda c: c.update(img_size=16), "img_size is 16, not between 32 and 4096"),
        (lambda c: c["bn"].update(eps=1e-3), r"bn\.eps is 0\.001; in the nat space it is 1e-05"),
        (lambda c: c["bn"].pop("eps"), r"bn\.eps: missing"),
    ],
)
def test_what_is_wrong_is_named(content, change, message):
    """A key of the wrong type, or a network that is not of the family, is refused with the place."""
    changed = copy.deepcopy(content)
    change(changed)
    with pytest.raises(InputError, match=message):
        read_net_config(changed)


def test_ratios_may_be_written_as_decimals(content):
    """A ratio of 3.0 is 3."""
    for block in content["blocks"]:
        block["mobile_inverted_conv"]["expand_ratio"] = float(block["mobile_inverted_conv"]["expand_ratio"])
    read = read_net_config(content).architecture
    assert read == from_encoding(PUBLISHED[0].encoding)
    assert isinstance(read, Architecture)
    assert all(isinstance(ratio, int) for ratio in read.expand_ratios)
