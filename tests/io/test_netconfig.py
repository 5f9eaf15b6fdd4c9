"""The NAT authors' net.config."""

import copy
import json

import pytest

from natdeploy.core.architecture import Architecture
from natdeploy.errors import InputError
from natdeploy.io.encodings import from_encoding
from natdeploy.io.netconfig import read_net_config
from tests.support.netconfigs import net_config, proxyless_config
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


def test_a_missing_size_is_never_guessed(content):
    """A file without an input size is refused unless the size is given; the hint says where once-for-all has it."""
    del content["img_size"]
    with pytest.raises(InputError, match=r"^img_size is missing: the network does not state the size") as caught:
        read_net_config(content)
    assert "--resolution" in caught.value.hint
    assert "run.config" in caught.value.hint
    assert read_net_config(content, 233).architecture.resolution == 233


@pytest.mark.parametrize("key", ["img_size", "resolution", "image_size"])
def test_the_size_is_read_under_every_name_in_use(content, key):
    """The NAT authors write `img_size`, MCUNet `resolution`, once-for-all's run.config `image_size`."""
    del content["img_size"]
    content[key] = 160
    assert read_net_config(content).architecture.resolution == 160


def test_sizes_that_contradict_each_other_are_refused(content):
    """A file with two different sizes is refused with both."""
    content.update(img_size=224, resolution=160)
    with pytest.raises(InputError, match="several input sizes: img_size 224, resolution 160"):
        read_net_config(content)


def test_channels_inside_may_be_given(content):
    """Channels inside a block may be written out. Others than those of the space's ratios are of no search space."""
    block = content["blocks"][1]["mobile_inverted_conv"]
    block["mid_channels"] = 48
    assert read_net_config(content).architecture == from_encoding(PUBLISHED[0].encoding)
    block["mid_channels"] = 56
    read = read_net_config(content)
    assert read.architecture is None
    assert read.layers[2].mid_channels == 56


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
        (lambda c: block_of(c).update(expand_ratio=float("inf")), r"blocks\[2\]\.expand_ratio is inf"),
        (lambda c: block_of(c).pop("in_channels"), r"blocks\[2\]\.in_channels: missing"),
        (lambda c: block_of(c).update(out_channels=32), r"blocks\[2\]: has a shortcut, but its output is of another"),
        (lambda c: block_of(c).update(stride=2), r"blocks\[2\]: has a shortcut, but its output is of another shape"),
        (lambda c: block_of(c).update(stride=3), r"blocks\[2\]\.stride is 3, not between 1 and 2"),
        (lambda c: block_of(c).update(kernel_size=4), r"blocks\[2\]\.kernel_size is 4, not an odd number"),
        (lambda c: block_of(c).update(act_func="gelu"), r"blocks\[2\]\.act_func 'gelu' \(known: relu, "),
        (
            lambda c: c["final_expand_layer"].update(in_channels=8),
            r"final_expand_layer\.in_channels is 8; the layer",
        ),
        (
            lambda c: c["classifier"].update(in_features=8),
            r"classifier\.in_features is 8; .* gives 1280",
        ),
        (lambda c: c["blocks"][1].update(shortcut={}), r"blocks\[1\]: has a shortcut, but its output"),
        (
            lambda c: c["first_conv"].update(out_channels=20),
            r"blocks\[0\]\.in_channels is \d+; .* gives 20",
        ),
        (lambda c: c["classifier"].pop("out_features"), "classifier.out_features: missing"),
        (lambda c: c["classifier"].update(out_features=0), "classifier.out_features is 0, not between 1"),
        (lambda c: c["classifier"].update(dropout_rate=1.5), "classifier.dropout_rate is 1.5, not between 0 and 1"),
        (lambda c: c["classifier"].update(dropout_rate=None), "classifier.dropout_rate: wrong type NoneType"),
        (lambda c: c.update(img_size="224"), "img_size: wrong type str"),
        (lambda c: c.update(img_size=16), "img_size is 16, not between 32 and 4096"),
        (lambda c: c["bn"].update(eps=0), r"bn\.eps is 0, not between 0 and 1"),
        (lambda c: c["bn"].pop("eps"), r"bn\.eps: missing"),
    ],
)
def test_what_is_wrong_is_named(content, change, message):
    """A key of the wrong type, or a layer that does not fit the one before it, is refused with the place."""
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


@pytest.mark.parametrize(
    "change",
    [
        lambda c: block_of(c).update(kernel_size=9),
        lambda c: block_of(c).update(expand_ratio=4.5),
        lambda c: block_of(c).update(use_se=True),
        lambda c: block_of(c).update(act_func="mish"),
        lambda c: block_of(c).update(act_func=None),
        lambda c: c["blocks"][2].update(shortcut=None),
        lambda c: c["bn"].update(eps=1e-3),
        lambda c: c["first_conv"].update(act_func="relu6"),
        lambda c: c["feature_mix_layer"].update(bias=True),
    ],
)
def test_what_differs_from_every_space_is_kept(content, change):
    """A network that differs in one layer from those of the space is of no space, and differs as written."""
    usual = read_net_config(copy.deepcopy(content))
    change(content)
    read = read_net_config(content)
    assert (read.space, read.architecture) == (None, None)
    same = [one == other and one.bn_eps == other.bn_eps for one, other in zip(read.layers, usual.layers, strict=True)]
    assert not all(same)


@pytest.mark.parametrize("head", [False, True])
def test_networks_of_proxylessnas_are_layers(head):
    """A block without a shortcut has none, a ZeroLayer disappears, and the head precedes the pooling."""
    layers = read_net_config(proxyless_config(head=head)).layers
    ops = ["stem", "block", "block", "block", *(["final_expand"] if head else []), "pooling", "classifier"]
    assert [layer.op for layer in layers] == ops
    assert [(layer.in_size, layer.mid_channels, layer.kernel, layer.skip) for layer in layers[1:4]] == [
        (25, 12, 3, False),
        (25, 60, 7, False),
        (13, 60, 5, True),
    ]
    assert {layer.activation for layer in layers[:-2]} == {"relu6"}
    assert layers[0].bn_eps == 1e-3
    assert layers[-1].out_channels == 7


@pytest.mark.parametrize("name", ["s10_new_ofa.net.config", "s10_old_ofa_no_imgsize.net.config"])
def test_the_layouts_of_once_for_all_are_read(shared_data, name):
    """The present one has the key `conv` in its blocks, the older one `mobile_inverted_conv`; both are in space nat."""
    content = json.loads((shared_data / "cases" / "subnets" / name).read_text())
    read = read_net_config(content, resolution=208)
    assert (read.architecture.resolution, read.architecture.width) == (208, 1.0)
    assert read.architecture.depths == (3, 4, 2, 3, 2)
    assert [layer.out_channels for layer in read.layers[-4:]] == [960, 960, 1280, 1000]


@pytest.mark.parametrize("keys", [("final_expand_layer",), ("final_expand_layer", "feature_mix_layer")])
def test_empty_convolutions_have_the_sizes_of_the_space(content, keys):
    """Where a file leaves the last convolutions empty, the network's space says their sizes; without one they miss."""
    whole = read_net_config(content)
    content |= {key: {} for key in keys}
    assert read_net_config(content) == whole
    content["blocks"][1]["mobile_inverted_conv"]["mid_channels"] = 100
    with pytest.raises(InputError, match=f"{', '.join(keys)}: empty, and the network is in no search space"):
        read_net_config(content)
    content["first_conv"]["out_channels"] = 17
    with pytest.raises(InputError):
        read_net_config(content)
