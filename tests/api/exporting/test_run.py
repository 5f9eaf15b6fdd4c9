"""Exports by the Python API: what is checked, calibrated and measured with which images."""

import contextlib
import dataclasses
import json
import types

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from natdeploy import api
from natdeploy.api.exporting import formats, run
from natdeploy.api.exporting.images import ExportImages, make_noise
from natdeploy.api.exporting.results import ExportResult
from natdeploy.api.latency.levels import Level, LevelledTimes
from natdeploy.core.architecture import smallest
from natdeploy.core.latency import LatencyStats
from natdeploy.errors import CheckFailedError, InputError
from natdeploy.export.parity import compute_reference
from natdeploy.io.datasets import load_task
from natdeploy.io.devices import find_device
from natdeploy.io.spaces import find_space
from natdeploy.io.subnets import read_subnet
from natdeploy.runtimes.litert_delegation import Delegation
from natdeploy.testing.fakes import RecordingReporter
from natdeploy.testing.networks import tiny_network


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A data folder of its own."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))


def export(subnet, folder, formats=("onnx",), **options):
    """Export into `folder`; return the result and what was said."""
    reporter = RecordingReporter()
    result = api.export(
        subnet,
        formats,
        options=api.ExportOptions(**options),
        output=folder / "out",
        context=api.Context(reporter=reporter),
    )
    return result.exports[0], reporter.said


def changed(subnet, folder, **keys):
    """Write the subnet with other keys, beside its weights, and return its path."""
    content = {**json.loads(subnet.read_text()), "weights": str(subnet.with_suffix(".safetensors")), **keys}
    path = folder / "changed.json"
    path.write_text(json.dumps(content))
    return path


def test_int8_is_calibrated_and_counted_on_images_of_the_task(digits_subnet, tmp_path):
    """Ranges come from train images, hits from validation images; both, and the latency of fp32, are told."""
    exported, said = export(digits_subnet, tmp_path, precision="int8")
    manifest = json.loads(exported.manifest.read_text())
    accuracy = manifest["accuracy"]
    assert manifest["precision"] == exported.precision == "int8"
    assert manifest["calibration"]["source"] == "train images of digits"
    assert manifest["calibration"]["images"] == 128
    assert accuracy == dataclasses.asdict(exported.accuracy)
    assert accuracy["images"] == len(load_task("digits", 32).validation)
    assert accuracy["before"] > 0.8
    assert accuracy["before"] - accuracy["after"] < 0.02
    assert manifest["latency"]["fp32_median_ms"] == exported.fp32_latency_ms > 0
    assert json.loads(json.dumps(ExportResult(exports=(exported,)).to_json()))["accuracy"] == accuracy
    assert not any("noise" in line for line in said)


def test_int8_that_loses_too_much_is_rejected(digits_subnet, tmp_path):
    """Calibrated on images that tell nothing, the file loses its accuracy, and only the rejected file stays."""
    (tmp_path / "black").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "black" / "1.png")
    with pytest.raises(CheckFailedError, match=r"top-1 on \d+ validation images falls from") as caught:
        export(digits_subnet, tmp_path, precision="int8", calibration=str(tmp_path / "black"))
    assert caught.value.exit_code == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["subnet.onnx.rejected"]


def test_pixels_are_normalized_inside(digits_subnet, tmp_path):
    """With normalization and softmax inside, the file gives for pixels what softmax gives of the subnet's logits."""
    exported, _ = export(digits_subnet, tmp_path, normalize_inside=True, softmax_inside=True)
    manifest = json.loads(exported.manifest.read_text())
    assert manifest["normalize_inside"]
    assert manifest["softmax_inside"]
    assert manifest["input"]["range"] == [0, 255]
    task = load_task("digits", 32)
    shown = task.validation.select(np.arange(4)).to_tensor()
    images = task.prepare(shown, 32).numpy()
    pixels = (images * np.reshape(task.std, (3, 1, 1)) + np.reshape(task.mean, (3, 1, 1))) * 255
    session = onnxruntime.InferenceSession(exported.artifact, providers=["CPUExecutionProvider"])
    rows = [session.run(["probabilities"], {"image": image[None].astype(np.float32)})[0][0] for image in pixels]
    logits = compute_reference(api.load_subnet(digits_subnet)[1], np.ascontiguousarray(images))
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(rows, expected, rtol=1e-3)


def test_normalization_needs_a_task(tmp_path):
    """Without a task nobody knows mean and std: a clear error, and nothing is written."""
    bare = tmp_path / "bare.json"
    bare.write_text(json.dumps(smallest(find_space("starter")).to_json()))
    with pytest.raises(InputError, match=r"bare.json: names no task, and --normalize-inside needs the mean and std"):
        export(bare, tmp_path, normalize_inside=True)
    assert not (tmp_path / "out").exists()


def test_what_is_exported_is_not_overwritten(digits_subnet, tmp_path):
    """A subnet that lies where the file or its manifest is to go ends the export, and stays what it is."""
    no_manifest = "not the manifest of an exported file"
    for name, said in (("net.manifest.json", no_manifest), ("net.onnx", "is an exported file, not a subnet")):
        (tmp_path / name).write_bytes(changed(digits_subnet, tmp_path).read_bytes())
        before = (tmp_path / name).read_bytes()
        with pytest.raises(InputError, match=f"{name}: {said}"):
            api.export(tmp_path / name, output=tmp_path / "net.onnx")
        assert (tmp_path / name).read_bytes() == before
        (tmp_path / name).unlink()


def test_one_image_does_not_check_a_file(tmp_path):
    """A subnet without a task is checked on the images of --calibration: a single one is refused by its folder."""
    (tmp_path / "one").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "one" / "1.png")
    bare = tmp_path / "bare.json"
    bare.write_text(json.dumps(smallest(find_space("starter")).to_json()))
    with pytest.raises(InputError, match=r"--calibration .*one: holds one image"):
        export(bare, tmp_path, precision="int8", calibration=str(tmp_path / "one"))


def test_without_images_noise_is_used_and_said(digits_subnet, tmp_path):
    """A subnet without a task is checked and calibrated with noise, which is said; no hits are counted."""
    subnet = changed(digits_subnet, tmp_path, task=None, weights=None)
    exported, said = export(subnet, tmp_path, precision="int8")
    manifest = json.loads(exported.manifest.read_text())
    assert any("checked on seeded noise" in line for line in said)
    assert any("int8 ranges are computed from seeded noise" in line for line in said)
    assert (manifest["calibration"]["source"], manifest["parity"]["checked_on"]) == ("noise", "noise")
    assert exported.accuracy is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dataset": "/gone"}, "unknown data set '/gone'"),
        ({"classes": [f"class {number}" for number in range(10)]}, "its classes are not the classes of the subnet"),
        ({"dataset": "food101"}, "Food-101 is not in"),
    ],
    ids=["moved", "other classes", "not downloaded"],
)
def test_int8_needs_images_of_the_task(digits_subnet, tmp_path, monkeypatch, changes, reason):
    """A task whose images cannot be read is not quantized from noise; other images do, and fp32 needs none."""
    monkeypatch.setenv("NATDEPLOY_DATA", str(tmp_path / "data"))
    task = {**json.loads(digits_subnet.read_text())["task"], **changes}
    subnet = changed(digits_subnet, tmp_path, task=task)
    with pytest.raises(InputError, match="images of its task, which int8 needs, cannot be read") as caught:
        export(subnet, tmp_path, precision="int8")
    assert reason in caught.value.message
    assert "--calibration FOLDER" in caught.value.hint
    assert not (tmp_path / "out").exists()
    for precision, calibration in (("int8", "digits"), ("fp32", None)):
        options = api.ExportOptions(precision=precision, calibration=calibration)
        images = ExportImages(read_subnet(subnet), options=options, seed=0, reporter=RecordingReporter())
        assert images.checked_on == ("noise" if calibration is None else "calibration images")


def make_wide_task(folder, subnet):
    """Write a folder of 16-bit images of ten classes that use the values 2830 to 3010, and return the task."""
    rng = np.random.default_rng(0)
    for name in "0123456789":
        (folder / name).mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(2830, 3011, (32, 32)).astype(np.uint16)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return {**json.loads(subnet.read_text())["task"], **load_task(folder, 32).describe()}


def test_levels_of_16_bit_images_go_with_the_subnet(digits_subnet, tmp_path):
    """The range of the train images is in the subnet and the manifest, and other images are scaled by it."""
    task = make_wide_task(tmp_path / "task", digits_subnet)
    assert task["levels"] == [2830, 3010]
    (tmp_path / "other").mkdir()
    for number, value in enumerate((2830, 2920)):
        Image.fromarray(np.full((32, 32), value, np.uint16)).save(tmp_path / "other" / f"{number}.png")
    subnet = read_subnet(changed(digits_subnet, tmp_path, task=task))
    options = api.ExportOptions(precision="int8", calibration=str(tmp_path / "other"))
    images = ExportImages(subnet, options=options, seed=0, reporter=RecordingReporter())
    pixels = images.calibration().images[:, 0, 0, 0] * task["std"][0] + task["mean"][0]
    assert sorted((pixels * 255).round().tolist()) == [0, 128]
    exported, _ = export(subnet.source, tmp_path, calibration=None)
    assert json.loads(exported.manifest.read_text())["levels"] == [2830, 3010]


@pytest.mark.parametrize("change", ["grown", "replaced", "unchanged"])
def test_a_task_that_changed_since_the_training_is_told(digits_subnet, tmp_path, change):
    """Splits that are drawn anew may test on images that were trained on; of the same images nothing is said."""
    task = make_wide_task(tmp_path / "task", digits_subnet)
    place = tmp_path / "task" / "3" / "0.png"
    if change == "grown":
        Image.fromarray(np.full((32, 32), 2900, np.uint16)).save(place.with_name("9.png"))
    if change == "replaced":
        place.unlink()
        Image.fromarray(np.full((48, 48), 2900, np.uint16)).save(place)
    reporter = RecordingReporter()
    subnet = read_subnet(changed(digits_subnet, tmp_path, task=task))
    ExportImages(subnet, options=api.ExportOptions(precision="int8"), seed=0, reporter=reporter)
    told = [line for line in reporter.warnings if "its images have changed since the training on it" in line]
    assert len(told) == (change != "unchanged")


def test_images_of_other_classes_are_not_those_of_the_task(digits_subnet, tmp_path):
    """A data set of the same name with other classes is not used: its labels would count for nothing."""
    task = {**json.loads(digits_subnet.read_text())["task"], "classes": [f"class {number}" for number in range(10)]}
    exported, said = export(changed(digits_subnet, tmp_path, task=task), tmp_path)
    assert any("its classes are not the classes of the subnet" in line for line in said)
    assert json.loads(exported.manifest.read_text())["parity"]["checked_on"] == "noise"


def test_option_of_another_format_is_refused_before_any_work(digits_subnet, tmp_path):
    """One format that does not take an option is enough to refuse it, whatever the others take."""
    with pytest.raises(InputError, match="--opset is not an option of format tflite"):
        export(digits_subnet, tmp_path, ("onnx", "tflite"), opset=13)
    assert not (tmp_path / "out").exists()


def test_calibration_that_cannot_be_read_is_one_error(digits_subnet, tmp_path):
    """A folder to calibrate with that is empty is named, and nothing is written."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: holds no image"):
        export(digits_subnet, tmp_path, precision="int8", calibration=str(tmp_path / "empty"))
    assert not (tmp_path / "out").exists()


def test_subnet_without_a_task_is_calibrated_with_given_images(digits_subnet, tmp_path):
    """Images of a folder calibrate a subnet that names no task; they are then normalized by their own statistics."""
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
    subnet = read_subnet(changed(digits_subnet, tmp_path, task=None))
    options = api.ExportOptions(precision="int8", calibration=str(tmp_path / "images"))
    images = ExportImages(subnet, options=options, seed=0, reporter=RecordingReporter())
    calibration = images.calibration()
    assert calibration.images.shape == (3, 3, 32, 32)
    assert calibration.images.mean(axis=(0, 2, 3)) == pytest.approx([0, 0, 0], abs=1e-3)
    assert images.validation() is None


def test_noise_differs_from_image_to_image():
    """Images of noise have their own colours, so that what a network makes of them varies; the seed decides."""
    images = make_noise(16, 40, np.random.default_rng(0))
    assert images.shape == (16, 3, 40, 40)
    assert images.dtype == np.float32
    assert images.std() == pytest.approx(1, abs=0.2)
    assert images.mean(axis=(2, 3)).std() > 0.3
    np.testing.assert_array_equal(images, make_noise(16, 40, np.random.default_rng(0)))


@pytest.mark.parametrize(
    ("outside", "latency_ms", "expected"),
    [
        ({"HARD_SWISH": 8}, 0.97, ["8 HARD_SWISH stay outside and split it into 9 parts", "Take --precision fp32"]),
        ({}, 0.97, ["slower than fp32 on this machine: 0.97 ms against 0.39 ms. Take --precision fp32"]),
        ({}, 0.3, []),
    ],
)
def test_what_int8_costs_is_said(outside, latency_ms, expected):
    """Where XNNPACK does not run all of an int8 file, or it is slower than fp32, a warning says so with figures."""
    reporter = RecordingReporter()
    job = types.SimpleNamespace(options=api.ExportOptions(precision="int8"), context=api.Context(reporter=reporter))
    exported = types.SimpleNamespace(
        artifact="net.tflite",
        delegation=Delegation(partitions=9, operators=40, outside=outside),
        latency_ms=latency_ms,
        fp32_latency_ms=0.39,
        device="host",
    )
    run._warn(exported, job)
    assert len(reporter.said) == len(expected)
    assert all(part in line for part, line in zip(expected, reporter.said, strict=True))


@pytest.mark.parametrize(("precision", "files"), [("fp32", 1), ("fp16", 2), ("int8", 2)])
@pytest.mark.parametrize("name", ["onnx", "tflite"])
def test_lower_precisions_are_compared_with_fp32_on_a_device(monkeypatch, tmp_path, name, precision, files):
    """A board times the fp32 network in turns with a file of lower precision, so that a slower one is noticed there."""
    timed = []

    def time_files(timer, paths, target, *, seed):
        timed.extend(path.stat().st_size for path in paths)
        values = (2.0, 1.0)[: len(paths)]
        stats = [LatencyStats(median_ms=v, p10_ms=v, p90_ms=v, mean_ms=v, std_ms=0.0, runs=1) for v in values]
        return LevelledTimes(stats=tuple(stats), level=Level(value=None), disturbance=None)

    @contextlib.contextmanager
    def open_timer(*_, **__):
        yield types.SimpleNamespace(fingerprint=lambda: "board")

    monkeypatch.setattr(formats, "time_files", time_files)
    monkeypatch.setattr(formats, "open_timer", open_timer)
    path = tmp_path / f"network.{name}"
    path.write_bytes(b"file")
    job = types.SimpleNamespace(
        options=api.ExportOptions(precision=precision), network=tiny_network(), context=api.Context(), seed=0
    )
    measured = formats.measure_on_device(find_device("raspberry-pi-5"), name, job, path)
    assert len(timed) == files
    assert all(timed)
    assert (measured["median_ms"], measured["fp32_median_ms"]) == (2.0, 1.0 if files == 2 else None)


def test_given_images_check_a_subnet_without_a_task(tmp_path):
    """Images to calibrate with also check a bare architecture: they are nearer to what it will see than noise."""
    bare = tmp_path / "bare.json"
    bare.write_text(json.dumps(smallest(find_space("starter")).to_json()))
    options = api.ExportOptions(precision="int8", calibration="digits")
    images = ExportImages(read_subnet(bare), options=options, seed=0, reporter=RecordingReporter())
    assert images.checked_on == "calibration images"
    assert images.check.shape == (32, 3, 32, 32)
