"""Folders of images: which folders are splits and classes, and what is passed over."""

import os

import pytest
from PIL import Image

from natdeploy.errors import InputError
from natdeploy.io.datasets import load_task
from natdeploy.io.image_files import SUFFIXES
from natdeploy.io.image_folders import list_all_images, name_split
from natdeploy.testing.fakes import RecordingReporter

FORMATS = {".jfif": "JPEG", ".jpe": "JPEG"}


def save(path, grey=100):
    """Write an image of one grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16), (grey,) * 3).save(path, format=FORMATS.get(path.suffix))


def make_classes(root, count, names=("cat", "dog"), first=0):
    """Write so many images of each class, all of different greys from `first` on."""
    for place, name in enumerate(names):
        for number in range(count):
            save(root / name / f"{number}.png", first + 40 * place + number)


def load(folder):
    """Load a task, and return it with what was told."""
    reporter = RecordingReporter()
    return load_task(str(folder), 16, reporter=reporter), reporter


def sizes(task):
    """Return the number of images of each split."""
    return len(task.train), len(task.validation), len(task.test)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Train", "Test"),
        ("training_set", "test_set"),
        ("TRAIN", "testing"),
        ("train_images", "test-data"),
        ("train2017", "test2017"),
        ("Training", "TestSet"),
    ],
)
def test_splits_are_known_by_name(tmp_path, train, test):
    """Folders with the usual names of splits, in any case, are splits and no classes, and are told."""
    make_classes(tmp_path / train, 8)
    make_classes(tmp_path / test, 3, first=100)
    task, reporter = load(tmp_path)
    assert task.classes == ("cat", "dog")
    assert sizes(task) == (12, 4, 6)
    assert reporter.said == [
        f"{tmp_path}: 22 images of 2 classes (cat, dog): "
        f"12 train ({train}/), 4 validation (split off), 6 test ({test}/)"
    ]


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val_set"])
def test_validation_folders_validate(tmp_path, name):
    """A validation split that is there is used, and nothing is split off from the train images for it."""
    make_classes(tmp_path / "train", 8)
    make_classes(tmp_path / name, 2, first=100)
    make_classes(tmp_path / "test", 3, first=200)
    task, reporter = load(tmp_path)
    assert sizes(task) == (16, 4, 6)
    assert sorted(task.validation.to_tensor()[:, 0, 0, 0].tolist()) == [100, 101, 140, 141]
    assert f"16 train (train/), 4 validation ({name}/), 6 test (test/)" in reporter.said[0]


@pytest.mark.parametrize(("train", "validation"), [("train", "val"), ("training", "validation")])
def test_test_images_are_split_off_where_they_lack(tmp_path, train, validation):
    """Beside train and validation images alone, a fifth of the train images tests."""
    make_classes(tmp_path / train, 10)
    make_classes(tmp_path / validation, 2, first=100)
    task, reporter = load(tmp_path)
    assert sizes(task) == (16, 4, 4)
    assert max(task.test.to_tensor()[:, 0, 0, 0].tolist()) < 100
    assert f"4 validation ({validation}/), 4 test (split off)" in reporter.said[0]


def test_names_that_are_no_splits(tmp_path):
    """Classes whose names only begin like a split are classes."""
    assert [name_split(name) for name in ("trains", "tester", "valve", "contest", "cat", "テスト")] == [None] * 6
    make_classes(tmp_path, 4, names=("trains", "valve"))
    assert load(tmp_path)[0].classes == ("trains", "valve")


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        (("cat", "dog", "test"), r"test/ could be a split or a class: it lies beside cat/, dog/"),
        (("bus", "car", "train"), r"train/ could be a split or a class: it lies beside bus/, car/"),
        (("cat", "dog", "valid"), r"valid/ could be a split or a class: it lies beside cat/, dog/"),
        (("cat", "Test", "val"), r"Test/ could be a split or a class: it lies beside cat/"),
        (("test", "val"), r"holds test/, val/, but no folder of train images"),
        (("train", "Train", "test"), r"Train/ and train/ could both be the train split"),
        (("train", "val", "valid"), r"val/ and valid/ could both be the validation split"),
    ],
)
def test_what_could_be_a_split_or_a_class_is_refused(tmp_path, folders, said):
    """The message names the folders, and the hint the layout that is meant."""
    for name in folders:
        make_classes(tmp_path / name, 3)
    with pytest.raises(InputError, match=said) as caught:
        load(tmp_path)
    assert "FOLDER/train/CLASS/IMAGE" in caught.value.hint


@pytest.mark.parametrize(
    "names",
    [
        ("seg_pred", "seg_test", "seg_train"),
        ("testA", "testB", "trainA", "trainB"),
        ("cats_test", "cats_train", "dogs_test", "dogs_train"),
        ("my-training", "my-validation"),
        ("trn", "tst"),
        ("train_small", "eval_small"),
    ],
)
def test_names_that_hold_the_word_of_a_split_are_refused(tmp_path, names):
    """Folders whose names say train and test, in whatever other words, do not become classes without a word."""
    make_classes(tmp_path, 3, names)
    with pytest.raises(InputError, match=r"could be splits or classes") as caught:
        load(tmp_path)
    assert "FOLDER/train/" in caught.value.hint
    make_classes(tmp_path / "set" / "train", 3, names)
    assert load(tmp_path / "set")[0].classes == tuple(sorted(names))


@pytest.mark.parametrize("names", [("bullet_train", "car"), ("crash test", "drive test"), ("holdout", "dev_board")])
def test_one_word_of_a_split_makes_no_split(tmp_path, names):
    """Classes that have the word of train images alone, or of test images alone, are classes."""
    make_classes(tmp_path, 4, names)
    assert load(tmp_path)[0].classes == tuple(sorted(names))


@pytest.mark.parametrize("name", ["sick", "unknown"])
def test_a_test_folder_with_one_class_is_told_by_it(tmp_path, name):
    """A test split may hold one class; one that has no train images is named."""
    make_classes(tmp_path / "train", 4, names=("healthy", "sick"))
    make_classes(tmp_path / "test", 4, names=(name,), first=100)
    if name == "sick":
        assert len(load(tmp_path)[0].test) == 4
        return
    with pytest.raises(InputError, match="test: class 'unknown' has no train images") as caught:
        load(tmp_path)
    assert caught.value.hint == "add train images of the class, or remove the folder"


@pytest.mark.parametrize(("one", "other"), [("cat", "Cat"), ("cat", "cat "), ("caf\u00e9", "cafe\u0301")])
def test_names_that_look_alike_are_told(tmp_path, one, other):
    """Classes whose names a reader takes for the same are warned about; between splits, the difference is shown."""
    make_classes(tmp_path / "twins", 4, names=(one, other, "dog"))
    _, reporter = load(tmp_path / "twins")
    assert "differ only in case, blanks or the encoding of accents" in reporter.warnings[0]
    assert ascii(one) in reporter.warnings[0]
    assert ascii(other) in reporter.warnings[0]
    make_classes(tmp_path / "set" / "train", 4, names=(one, "dog"))
    make_classes(tmp_path / "set" / "test", 2, names=(other, "dog"))
    with pytest.raises(InputError, match="has no train images") as caught:
        load(tmp_path / "set")
    assert caught.value.hint == f"rename it to the folder of the train images, {one!a}: it is now {other!a}"


def test_splits_within_classes_are_refused(tmp_path):
    """Train and test images of a class are not mixed."""
    for name in ("cat", "dog"):
        make_classes(tmp_path / name, 4, names=("train", "test"))
    with pytest.raises(InputError, match=r"the splits lie within the classes, as in cat/"):
        load(tmp_path)


def test_folders_beside_the_splits_are_told(tmp_path):
    """Images that belong to no split are not used, and counted."""
    make_classes(tmp_path / "training_set", 8)
    make_classes(tmp_path / "test_set", 3)
    make_classes(tmp_path, 2, names=("single_prediction",))
    task, reporter = load(tmp_path)
    assert task.classes == ("cat", "dog")
    assert reporter.warnings[0] == (
        f"{tmp_path}: not used: 2 images in single_prediction/, beside the folders of the splits"
    )


@pytest.mark.parametrize(
    ("place", "why"),
    [
        (".ipynb_checkpoints", "which is hidden"),
        ("__MACOSX", "which is made by a program"),
        ("@eaDir", "which is made by a program"),
    ],
)
def test_folders_of_programs_are_passed_over(tmp_path, place, why):
    """Copies that programs make are no images of the set and no class, wherever they lie; they are counted."""
    make_classes(tmp_path, 5)
    save(tmp_path / "cat" / place / "0-checkpoint.png")
    save(tmp_path / place / "cat" / "0.png")
    task, reporter = load(tmp_path)
    assert task.classes == ("cat", "dog")
    assert sum(sizes(task)) == 10
    assert reporter.warnings[0] == f"{tmp_path}: not used: 2 images in {place}/, {why}"


def test_thumbnails_are_no_images_of_a_class(tmp_path):
    """Small copies below a class are passed over; a class may be called thumbs."""
    make_classes(tmp_path, 5, names=("fingers", "thumbs"))
    save(tmp_path / "thumbs" / "Thumbnails" / "0.png")
    task, reporter = load(tmp_path)
    assert task.classes == ("fingers", "thumbs")
    assert sum(sizes(task)) == 10
    assert "1 image in Thumbnails/" in reporter.warnings[0]


@pytest.mark.parametrize(("images", "masks"), [("images", "masks"), ("Images", "Mask"), ("img", "labels")])
def test_folders_of_masks_beside_images_are_no_images(tmp_path, images, masks):
    """Sets for segmentation that are sorted by class hold masks beside the images of each class."""
    make_classes(tmp_path / "set", 4, names=("cat", "masks"))
    for name in ("cat", "masks"):
        make_classes(tmp_path / "set" / name, 3, names=(images, masks), first=100)
    task, reporter = load(tmp_path / "set")
    assert task.classes == ("cat", "masks")
    assert sum(sizes(task)) == 14
    assert reporter.warnings[0].endswith(f"not used: 6 images in {masks}/, beside {images}/")


@pytest.mark.parametrize("added", ["_mask", "_mask_1", "-Seg", " segmentation", "_gt"])
def test_masks_beside_their_images_are_no_images(tmp_path, added):
    """A file that is named as the mask of an image beside it is not used, and counted; without the image, it is one."""
    make_classes(tmp_path, 4)
    save(tmp_path / "cat" / f"0{added}.png", 200)
    save(tmp_path / "dog" / f"alone{added}.png", 210)
    task, reporter = load(tmp_path)
    assert sum(sizes(task)) == 9
    assert reporter.warnings == [f"{tmp_path}: not used: 1 image named as masks of the images beside them"]


@pytest.mark.parametrize("name", ["photo", "photo.jpg_large", "photo.jpg.1", "photo.png?width=10"])
def test_images_without_the_suffix_of_one_are_told(tmp_path, name):
    """Images that a browser or a script saved under another suffix are not called other files."""
    make_classes(tmp_path, 4)
    (tmp_path / "dog" / name).write_bytes((tmp_path / "dog" / "0.png").read_bytes())
    (tmp_path / "dog" / "text").write_bytes(b"no image")
    task, reporter = load(tmp_path)
    assert sum(sizes(task)) == 8
    assert "images that are not read because of their names: 1 " in reporter.warnings[0]
    assert reporter.said[1].endswith("because they are no images: 1 without a suffix")


def test_a_class_of_images_without_suffixes_says_so(tmp_path):
    """A class whose images have no suffix at all is not said to be empty."""
    make_classes(tmp_path, 4)
    for path in (tmp_path / "cat").iterdir():
        path.rename(path.with_suffix(""))
    with pytest.raises(
        InputError, match=r"cat: holds no image .*, but 4 without a suffix, which are not read"
    ) as caught:
        load(tmp_path)
    assert caught.value.hint == "give their names the suffix of their kind, such as .jpg"


@pytest.mark.parametrize("place", ["", "train"])
def test_loose_files_are_told(tmp_path, place):
    """Photographs of a phone and archives beside the folders of the classes are counted."""
    make_classes(tmp_path / place, 4)
    (tmp_path / place / "IMG_1.HEIC").touch()
    (tmp_path / place / "more.zip").touch()
    _, reporter = load(tmp_path)
    assert reporter.said[1].endswith("because they are no images: 1 .zip")
    assert "1 .heic" in reporter.warnings[0]


@pytest.mark.parametrize("suffix", [".jfif", ".JFIF", ".jpe", ".pgm", ".avif"])
def test_rarer_suffixes_are_read(tmp_path, suffix):
    """Images under the rarer suffixes of known formats are used."""
    if suffix == ".avif":
        assert suffix in SUFFIXES
    make_classes(tmp_path, 4)
    image = Image.new("L", (16, 16), 200)
    image.save(tmp_path / "cat" / f"more{suffix}", format=FORMATS.get(suffix.lower()))
    task, reporter = load(tmp_path)
    assert sum(sizes(task)) == 9
    assert "9 images of 2 classes" in reporter.said[0]


def test_what_is_not_read_is_told_by_suffix(tmp_path):
    """Pictures of an unknown kind are warned about with what to do; other files are told."""
    make_classes(tmp_path, 4)
    for name in ("1.HEIC", "2.heic", "3.dng", "notes.txt", "labels.json", "unnamed", "._0.png"):
        (tmp_path / "dog" / name).touch()
    save(tmp_path / "loose.png")
    task, reporter = load(tmp_path)
    assert sum(sizes(task)) == 8
    assert reporter.said[1] == (
        f"{tmp_path}: not read, because they are no images: 1 .json, 1 .txt, 1 hidden, 1 without a suffix"
    )
    assert reporter.warnings == [
        f"{tmp_path}: not used: 1 image in {tmp_path.name}/ itself, in no folder of a class",
        f"{tmp_path}: pictures of a kind that is not read: 1 .dng, 2 .heic; convert them to .jpg or .png",
    ]


@pytest.mark.parametrize(("name", "hint"), [("cats.zip", "unpack the archive"), ("a.parquet", "packed images")])
def test_a_folder_without_images_is_told_by_what_it_holds(tmp_path, name, hint):
    """The hint is about the folder that was given, not about the one around it."""
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / name).touch()
    (tmp_path / "labels.csv").touch()
    with pytest.raises(InputError, match="set: holds no image") as caught:
        list_all_images(tmp_path / "set")
    assert hint in caught.value.hint


def test_a_class_of_unread_pictures_says_so(tmp_path):
    """A class that holds pictures of a phone alone is not said to be empty."""
    make_classes(tmp_path, 4)
    (tmp_path / "eel").mkdir()
    (tmp_path / "eel" / "IMG_1.HEIC").touch()
    with pytest.raises(InputError, match=r"eel: holds no image .*, but 1 \.heic, which are not read") as caught:
        load(tmp_path)
    assert caught.value.hint == "convert them to .jpg or .png"


@pytest.mark.parametrize("place", ["cat/more", "cat/more/deeper", "cat"])
def test_folders_that_are_links_are_followed(tmp_path, place):
    """Images of a linked folder count, at the class and below it."""
    make_classes(tmp_path / "set", 4, names=("dog", "eel"))
    make_classes(tmp_path / "store", 5, names=("pictures",), first=100)
    link = tmp_path / "set" / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(tmp_path / "store" / "pictures", target_is_directory=True)
    assert sum(sizes(load(tmp_path / "set")[0])) == 13


def test_links_in_a_circle_end(tmp_path):
    """A link to a folder around it is followed once; nothing is counted twice."""
    make_classes(tmp_path, 4)
    (tmp_path / "cat" / "again").symlink_to(tmp_path / "cat", target_is_directory=True)
    (tmp_path / "dog" / "up").symlink_to(tmp_path / "dog", target_is_directory=True)
    task, reporter = load(tmp_path)
    assert sum(sizes(task)) == 8
    assert "a link to a folder that is read already" in reporter.warnings[0]


@pytest.mark.parametrize("place", ["eel", "cat/more"])
def test_a_link_to_a_folder_that_is_gone_is_named(tmp_path, place):
    """A class or a part of one whose link leads nowhere is an error, not a class less."""
    make_classes(tmp_path, 4)
    (tmp_path / place).symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match=rf"{place}: .*it is a link to .*gone, which does not exist"):
        load(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path):
    """A pipe that is named like an image is passed over."""
    make_classes(tmp_path, 4)
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    task, reporter = load(tmp_path)
    assert sum(sizes(task)) == 8
    assert "1 pipes and devices" in reporter.said[1]


@pytest.mark.parametrize(
    ("folders", "files", "hint"),
    [
        (("JPEGImages", "Annotations", "ImageSets"), (), "Pascal VOC or COCO"),
        (("images", "annotations"), (), "Pascal VOC or COCO"),
        (("images", "labels"), (), "YOLO, or of segmentation"),
        (("imgs", "masks"), (), "YOLO, or of segmentation"),
        (("images",), ("labels.csv",), "labels are read from folders, not from tables"),
        ((), ("cats.zip",), "unpack the archive"),
        ((), ("train-00000.parquet",), "packed images are not read"),
        ((), ("cat.0.jpg", "dog.0.jpg"), "move each image into the folder of its class"),
    ],
)
def test_other_layouts_are_told_apart(tmp_path, folders, files, hint):
    """A data set of another kind is refused with what it looks like, and the layout that is read."""
    for name in folders:
        save(tmp_path / name / "1.png")
        save(tmp_path / name / "2.png")
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(InputError) as caught:
        load(tmp_path)
    assert hint in caught.value.hint
    assert "FOLDER/CLASS/IMAGE" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "hint"),
    [("cats.zip", "unpack"), ("cats.tar.gz", "unpack"), ("labels.csv", "from tables"), ("a.parquet", "packed images")],
)
def test_files_that_are_no_folders_are_told_apart(tmp_path, name, hint):
    """An archive or a table that is given as the data set is refused with what to do."""
    (tmp_path / name).touch()
    with pytest.raises(InputError, match="is a file, not a folder of images") as caught:
        load(tmp_path / name)
    assert hint in caught.value.hint


def test_a_data_set_one_folder_further_down_is_suggested(tmp_path):
    """Archives often unpack into a folder of their own."""
    make_classes(tmp_path / "flowers", 4)
    make_classes(tmp_path / "__MACOSX", 4)
    with pytest.raises(InputError, match="contains flowers/ alone") as caught:
        load(tmp_path)
    assert caught.value.hint == f"did you mean {tmp_path / 'flowers'}?"


def test_splits_that_were_packed_twice_are_told(tmp_path):
    """A split that holds nothing but a folder of its own name is refused with what to move."""
    make_classes(tmp_path / "train" / "train", 4)
    make_classes(tmp_path / "test" / "test", 4)
    with pytest.raises(InputError, match=r"train: it must contain a folder .*, but contains train/ alone") as caught:
        load(tmp_path)
    assert caught.value.hint == f"move what {tmp_path / 'train' / 'train'} holds one level up"


@pytest.mark.parametrize("name", ["test", "val"])
def test_images_without_labels_are_no_split(tmp_path, name):
    """A split whose images lie in no folder of a class, as in competitions, is refused with what to do."""
    make_classes(tmp_path / "train", 4)
    save(tmp_path / name / "1.png")
    with pytest.raises(InputError, match=rf"{name}: holds images, but no folders of classes") as caught:
        load(tmp_path)
    assert f"move {name}/ away, then others are split off" in caught.value.hint
