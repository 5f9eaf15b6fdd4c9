"""Reading subnets in every layout, and what is said of files that are none."""

import dataclasses
import json

import pytest

from natdeploy.core.architecture import largest, smallest
from natdeploy.errors import InputError, OutputError
from natdeploy.io.encodings import from_encoding
from natdeploy.io.spaces import find_space
from natdeploy.io.subnets import DEFAULT_CLASSES, Subnet, SubnetSource, read_subnet, write_subnet
from tests.support.netconfigs import net_config
from tests.support.published import PUBLISHED

M1 = from_encoding(PUBLISHED[0].encoding)
TASK = {"dataset": "digits", "classes": ["0", "1", "2"], "mean": [0.1, 0.2, 0.3], "std": [0.3, 0.2, 0.1]}


def write(folder, content, name="subnet.json"):
    """Write a JSON file and return its path."""
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def own_file(**changes):
    """Return the content of a natdeploy file, with some keys replaced."""
    content = {
        "format": "natdeploy.subnet/1",
        "supernet": "starter",
        "architecture": smallest(find_space("starter")).to_json(),
        "weights": None,
        "task": None,
        "metrics": {},
        "provenance": {},
    }
    return {**content, **changes}


def test_a_written_subnet_comes_back(tmp_path):
    """Everything that a file holds is read as it was written."""
    weights = tmp_path / "weights" / "subnet.safetensors"
    weights.parent.mkdir()
    weights.touch()
    subnet = Subnet(
        space=find_space("starter"),
        architecture=dataclasses.replace(largest(find_space("starter")), resolution=101),
        classes=3,
        weights=weights,
        task=TASK,
        metrics={"validation_top1": 0.5},
        provenance={"run": "a"},
    )
    path = tmp_path / "deep" / "er" / "subnet.json"
    write_subnet(path, subnet)
    assert json.loads(path.read_text())["weights"] == "../../weights/subnet.safetensors"
    read = read_subnet(path)
    assert read == dataclasses.replace(subnet, weights=read.weights, source=str(path))
    assert read.weights is not None
    assert read.weights.samefile(weights)


def test_a_moved_folder_keeps_its_weights(tmp_path, monkeypatch):
    """The weight file is found relative to the subnet's file, wherever both lie and whoever asks."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "w.safetensors").touch()
    architecture = smallest(find_space("starter"))
    subnet = Subnet(
        space=find_space("starter"), architecture=architecture, classes=1000, weights=tmp_path / "a" / "w.safetensors"
    )
    write_subnet(tmp_path / "a" / "subnet.json", subnet)
    (tmp_path / "a").rename(tmp_path / "b")
    monkeypatch.chdir(tmp_path / "b")
    read = read_subnet("subnet.json")
    assert read.weights == (tmp_path / "b" / "w.safetensors").resolve()


def test_a_subnet_without_weights_and_task(tmp_path):
    """Null weights and task stay none, and the classes are the default."""
    read = read_subnet(write(tmp_path, own_file()))
    assert (read.weights, read.task, read.classes) == (None, None, DEFAULT_CLASSES)
    assert read.architecture == smallest(find_space("starter"))


def test_an_unwritable_place_is_an_output_error(tmp_path):
    """A subnet that cannot be written is told so."""
    (tmp_path / "file").touch()
    subnet = Subnet(space=find_space("starter"), architecture=smallest(find_space("starter")), classes=10)
    with pytest.raises(OutputError, match=r"subnet\.json"):
        write_subnet(tmp_path / "file" / "subnet.json", subnet)


@pytest.mark.parametrize("subnet", PUBLISHED, ids=str)
def test_bare_architectures_are_read(tmp_path, subnet):
    """The authors' bare JSON is read as an architecture of the nat space, without weights."""
    architecture = from_encoding(subnet.encoding)
    read = read_subnet(write(tmp_path, architecture.to_json()), classes=subnet.classes)
    assert (read.space.name, read.architecture, read.classes) == ("nat", architecture, subnet.classes)
    assert (read.weights, read.task, read.activation) == (None, None, None)


def test_released_files_are_read(shared_data, tmp_path):
    """All released subnets are read, those without w once their width is given."""
    released = json.loads((shared_data / "published_subnets" / "nat_published_subnets.json").read_text())
    without = 0
    for entry in released:
        path = write(tmp_path, entry["subnet"])
        if "w" not in entry["subnet"]:
            without += 1
            with pytest.raises(InputError, match="w is missing"):
                read_subnet(path)
        assert len(read_subnet(path, width=entry["subnet"].get("w", 1.2)).architecture.depths) == 5
    assert without == 2


def test_a_width_that_contradicts_the_file_is_refused(tmp_path):
    """`--width` beside an architecture that has another one is an error, not a silent choice."""
    path = write(tmp_path, {"w": 1.0, "r": 224, "d": [2] * 5, "e": [3] * 10, "ks": [3] * 10})
    assert read_subnet(path, width=1.0).architecture.width == 1.0
    with pytest.raises(InputError, match=r"has width 1, not 1\.2"):
        read_subnet(path, width=1.2)


def test_a_missing_resolution_is_never_guessed(tmp_path):
    """Neither a net.config nor a bare architecture without an input size is read until the size is given."""
    config = net_config(M1)
    del config["img_size"]
    bare = {key: value for key, value in M1.to_json().items() if key != "r"}
    for content, name in ((config, "net.config"), (bare, "bare.json")):
        path = write(tmp_path, content, name)
        with pytest.raises(InputError, match=rf"{name}: (img_size|r) is missing") as caught:
            read_subnet(path)
        assert "--resolution" in caught.value.hint
        assert SubnetSource(path, resolution=160).read().resolution == 160


@pytest.mark.parametrize("content", [M1.to_json(), net_config(M1)])
def test_a_resolution_that_contradicts_the_file_is_refused(tmp_path, content):
    """`--resolution` beside a network that states another one is an error, not a silent choice."""
    path = write(tmp_path, content)
    assert read_subnet(path, resolution=M1.resolution).resolution == M1.resolution
    with pytest.raises(InputError, match=f"has resolution {M1.resolution}, not 160"):
        read_subnet(path, resolution=160)


def test_the_ends_of_a_space_are_of_the_given_resolution():
    """`largest` and `smallest` take the resolution that is given."""
    assert read_subnet("largest", supernet="starter", resolution=48).resolution == 48


def test_a_missing_width_is_never_guessed(tmp_path):
    """Without w the width must be given, or a supernet of one width; a supernet of two does not help."""
    bare = from_encoding(PUBLISHED[7].encoding).to_json()
    del bare["w"]
    path = write(tmp_path, bare)
    with pytest.raises(InputError, match=r"subnet\.json: w is missing") as caught:
        read_subnet(path)
    assert "--width" in caught.value.hint
    with pytest.raises(InputError, match="w is missing"):
        read_subnet(path, supernet="nat")
    for arguments in ({"width": 1.2}, {"supernet": "ofa-mbv3-w1.2"}, {"width": 1.2, "supernet": "nat"}):
        assert read_subnet(path, **arguments).architecture == from_encoding(PUBLISHED[7].encoding)


def test_a_named_supernet_holds_the_architecture(tmp_path):
    """A bare architecture belongs to the supernet that is named, which must hold it."""
    path = write(tmp_path, M1.to_json())
    assert read_subnet(path, supernet="ofa-mbv3-w1.0").space.name == "ofa-mbv3-w1.0"
    with pytest.raises(InputError, match=r"width 1 is not in space ofa-mbv3-w1\.2"):
        read_subnet(path, supernet="ofa-mbv3-w1.2")
    with pytest.raises(InputError, match="unknown supernet 'natt'"):
        read_subnet(path, supernet="natt")


@pytest.mark.parametrize("subnet", [PUBLISHED[1], PUBLISHED[9]], ids=str)
@pytest.mark.parametrize("activation", [None, "mish"])
def test_net_configs_are_read(tmp_path, subnet, activation):
    """A net.config gives architecture, classes, activation and dropout; other classes may be asked for."""
    architecture = from_encoding(subnet.encoding)
    content = net_config(architecture, classes=37, activation=activation, dropout=0.2)
    path = write(tmp_path, content, "net.config")
    read = read_subnet(path)
    assert (read.architecture, read.classes) == (architecture, 37)
    assert (read.activation, read.dropout) == (activation, 0.2)
    assert read_subnet(path, classes=5).classes == 5


def test_encodings_are_read_as_text_and_from_a_file(tmp_path):
    """A string of 23 digits is an architecture, in a file too, with or without a newline."""
    encoding = PUBLISHED[3].encoding
    path = tmp_path / "net.encoding"
    path.write_text(encoding + "\n")
    for source in (encoding, path, str(path)):
        read = read_subnet(source)
        assert read.architecture == from_encoding(encoding)
        assert read.source == str(source)


def test_a_file_named_like_an_encoding_is_a_file(tmp_path, monkeypatch):
    """What exists as a file is read as one."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, M1.to_json(), PUBLISHED[3].encoding)
    assert read_subnet(PUBLISHED[3].encoding).architecture == M1


@pytest.mark.parametrize("text", ["1" * 22, "1" * 24, "1" * 5000, "99" + "1" * 21, "0"])
def test_digits_that_are_no_encoding_are_refused(tmp_path, text):
    """Digits of any other length, or out of range, are refused, also in a file."""
    with pytest.raises(InputError, match="encoding"):
        read_subnet(text)
    path = tmp_path / "e.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=r"e\.txt: .*encoding"):
        read_subnet(path)


@pytest.mark.parametrize("resolution", [224, [224]])
def test_padded_lists_are_read(tmp_path, resolution):
    """OFA's lists hold four entries for each stage; those beyond its depth are dropped, whatever they are."""
    kernels, ratios = [], []
    for stage in M1.stages():
        kernels += [kernel for kernel, _ in stage] + [7] * (4 - len(stage))
        ratios += [ratio for _, ratio in stage] + [6] * (4 - len(stage))
    padded = {"wid": None, "w": 1.0, "r": resolution, "d": list(M1.depths), "ks": kernels, "e": ratios}
    assert read_subnet(write(tmp_path, padded)).architecture == M1


def test_full_lists_of_the_deepest_network_are_not_padded(tmp_path):
    """Twenty entries at full depth are all kept."""
    top = largest(find_space("ofa-mbv3-w1.2"))
    assert read_subnet(write(tmp_path, top.to_json())).architecture == top


def test_resolutions_off_the_list_are_read(tmp_path):
    """An architecture read from a file may have any resolution from 32."""
    path = write(tmp_path, {**M1.to_json(), "r": 33})
    assert read_subnet(path).architecture == dataclasses.replace(M1, resolution=33)


def test_whole_numbers_serve_as_width(tmp_path):
    """A width written as 1 is 1.0."""
    assert read_subnet(write(tmp_path, {**M1.to_json(), "w": 1})).architecture == M1


@pytest.mark.parametrize(
    ("changes", "written"),
    [
        ({"classes": 37}, {"classes": 37}),
        ({"classes": 37, "activation": "mish", "dropout": 0.2}, {"classes": 37, "activation": "mish", "dropout": 0.2}),
        ({"classes": 3, "task": TASK, "dropout": 0.2}, {"dropout": 0.2}),
        ({"classes": 3, "task": TASK}, None),
        ({"classes": DEFAULT_CLASSES}, None),
    ],
)
def test_what_neither_architecture_nor_task_tell_is_kept(tmp_path, changes, written):
    """Classes without a task, Mish and dropout come back; a file that has nothing of it does not mention it."""
    subnet = Subnet(space=find_space("nat"), architecture=M1, **changes)
    write_subnet(tmp_path / "subnet.json", subnet)
    assert json.loads((tmp_path / "subnet.json").read_text()).get("network") == written
    assert read_subnet(tmp_path / "subnet.json") == dataclasses.replace(subnet, source=str(tmp_path / "subnet.json"))


def test_weights_may_be_given_beside_a_network_that_has_none(tmp_path):
    """The weight file of a net.config is named beside it; a subnet that has weights takes no others."""
    path = write(tmp_path, net_config(M1, classes=37), "net.config")
    assert SubnetSource(path, weights=tmp_path / "net.weights").read().weights == tmp_path / "net.weights"
    (tmp_path / "own.safetensors").touch()
    own = write(tmp_path, own_file(weights="own.safetensors"))
    with pytest.raises(InputError, match=r"has its own weights, .*own\.safetensors"):
        SubnetSource(own, weights=tmp_path / "net.weights").read()


def test_the_width_may_have_the_name_of_once_for_all(tmp_path, shared_data):
    """A decimal number under `wid` is the width; a whole one, and one beside `w`, could mean something else."""
    case = shared_data / "cases" / "subnets" / "s03_wid_number.json"
    assert read_subnet(case).architecture.width == 1.2
    content = json.loads(case.read_text())
    for change in ({"wid": 1}, {"wid": 1.2, "w": 1.0}, {"wid": "1.2"}):
        (tmp_path / "a.json").write_text(json.dumps({**content, **change}))
        with pytest.raises(InputError, match="wid: must be None"):
            read_subnet(tmp_path / "a.json")
