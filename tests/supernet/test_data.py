"""Labelled images and their batches."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from natdeploy.errors import InputError
from natdeploy.supernet.data import (
    ImageSet,
    Task,
    apply_cutmix,
    compute_channel_statistics,
    concatenate,
    count_steps,
    iterate_train_batches,
)
from natdeploy.supernet.images import ImageFiles
from natdeploy.supernet.recipe import Recipe


def image_set(count, *, size=8, seed=0):
    """Return images whose every pixel tells the label."""
    labels = torch.arange(count) % 5
    images = (labels * 50).to(torch.uint8).view(-1, 1, 1, 1).repeat(1, 3, size, size)
    images[:, 0] += torch.from_numpy(np.random.default_rng(seed).integers(0, 5, (count, size, size)).astype(np.uint8))
    return ImageSet(images=images, labels=labels)


@pytest.fixture
def task():
    """A task of five classes that the brightness tells apart."""
    return Task(
        name="brightness",
        classes=tuple("abcde"),
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.25, 0.5),
        flip=True,
        train=image_set(53),
        validation=image_set(10),
        test=image_set(10),
    )


def batches(task, *, batch=10, resolutions=(8,), seed=0):
    """Return the batches of one epoch."""
    recipe = Recipe(batch_size=batch)
    return list(iterate_train_batches(task, recipe, list(resolutions), torch.Generator().manual_seed(seed)))


def test_an_epoch_shows_each_image_once_and_drops_the_rest(task):
    """Of 53 images, batches of 10 show 50, none of them twice."""
    numbered = ImageSet(images=task.train.images, labels=torch.arange(53))
    found = batches(dataclasses.replace(task, train=numbered))
    assert [len(labels) for _, labels in found] == [10] * 5
    assert len(torch.unique(torch.cat([labels for _, labels in found]))) == 50


def test_a_single_small_batch_is_kept(task):
    """Fewer images than a batch are one batch of all of them."""
    assert [len(labels) for _, labels in batches(task, batch=64)] == [53]


@pytest.mark.parametrize(("batch", "least"), [(10, 8), (64, 3), (10, 2)])
def test_few_images_come_several_times(task, batch, least):
    """An epoch of at least so many steps has full batches, in which all images come about equally often."""
    numbered = dataclasses.replace(task, train=ImageSet(images=task.train.images, labels=torch.arange(53)))
    recipe = Recipe(batch_size=batch, min_steps_per_epoch=least)
    found = list(iterate_train_batches(numbered, recipe, [8], torch.Generator().manual_seed(0)))
    assert [len(labels) for _, labels in found] == [batch] * count_steps(53, recipe)
    assert len(found) >= least
    times = torch.bincount(torch.cat([labels for _, labels in found]), minlength=53)
    assert int(times.max() - times.min()) <= 1


def test_labels_stay_with_their_images(task):
    """After shuffling and augmentation, the brightness of an image still is that of its label."""
    for images, labels in batches(task):
        blue = images[:, 2].mean(dim=(1, 2)) * 0.5 + 0.6
        torch.testing.assert_close(blue, labels * 50 / 255, atol=1e-5, rtol=0)


def test_batches_hang_on_the_generator(task):
    """The same state of the generator gives the same batches, another one others."""
    first, again, other = (batches(task, seed=seed) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for pair in zip(first, again, strict=True) for a, b in zip(*pair, strict=True))
    assert not torch.equal(first[0][0], other[0][0])


def test_resolutions_are_drawn_from_the_list(task):
    """Each batch has one resolution of the list, and in time each of them comes up."""
    sizes = [images.shape[-1] for images, _ in batches(task, batch=2, resolutions=(8, 12, 16))]
    assert set(sizes) == {8, 12, 16}
    weighted = [images.shape[-1] for images, _ in batches(task, batch=2, resolutions=[8] * 9 + [16])]
    assert weighted.count(8) > weighted.count(16)


def test_augmentation_moves_images_a_little(task):
    """Augmented images differ from the plain ones, and stay near them."""
    ramp = torch.linspace(0, 255, 32).to(torch.uint8).view(1, 1, 1, 32).repeat(40, 3, 32, 1)
    moving = dataclasses.replace(
        task, flip=False, train=ImageSet(images=ramp, labels=torch.zeros(40, dtype=torch.int64))
    )
    images, _ = batches(moving, batch=40, resolutions=(32,))[0]
    change = (images - moving.prepare(ramp, 32)).abs() * torch.tensor(task.std).view(3, 1, 1)
    assert (change.mean(dim=(1, 2, 3)) > 0).all()
    assert change.max() < 0.25


@pytest.mark.parametrize("flip", [False, True])
def test_images_are_mirrored_where_the_task_allows(task, flip):
    """About half of the images are mirrored where mirroring keeps the class, none where it does not."""
    ramp = torch.linspace(0, 255, 16).to(torch.uint8).view(1, 1, 1, 16).repeat(200, 3, 16, 1)
    mirrored = dataclasses.replace(
        task, flip=flip, train=ImageSet(images=ramp, labels=torch.zeros(200, dtype=torch.int64))
    )
    images, _ = batches(mirrored, batch=200, resolutions=(16,))[0]
    share = (images[:, 0, 8, 2] > images[:, 0, 8, 13]).float().mean()
    assert (0.35 < share < 0.65) if flip else share == 0


def test_prepare_resizes_and_normalizes(task):
    """Pixels between 0 and 1 less the mean, divided by the deviation, channels last, in the resolution asked for."""
    x = task.prepare(torch.full((2, 3, 8, 8), 255, dtype=torch.uint8), 20)
    assert x.shape == (2, 3, 20, 20)
    assert x.dtype == torch.float32
    assert x.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(x[0, :, 5, 5], torch.tensor([3.0, 2.0, 0.8]))


def test_prepare_shrinks_without_aliasing(task):
    """A fine pattern shrinks to its mean instead of to one of its values."""
    pattern = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    pattern[..., ::2] = 254
    plain = dataclasses.replace(task, mean=(0.0,) * 3, std=(1.0,) * 3)
    assert (plain.prepare(pattern, 8)[..., 2:-2] - 127 / 255).abs().max() < 0.02


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_an_empty_split_is_refused(task, split):
    """A task without images in one split is refused with the split's name."""
    with pytest.raises(InputError, match=f"brightness: no image is left for the {split} split"):
        dataclasses.replace(task, **{split: image_set(0)})


def test_statistics_are_those_of_the_pixels():
    """Mean and deviation are taken by channel over all pixels; a constant channel gets a deviation to divide by."""
    images = torch.zeros(4, 3, 6, 6, dtype=torch.uint8)
    images[:2, 0] = 255
    images[:, 1] = 51
    mean, std = compute_channel_statistics(images)
    assert mean == pytest.approx((0.5, 0.2, 0.0))
    assert std == pytest.approx((images[:, 0].double().div(255).std().item(), 1 / 255, 1 / 255))


def test_the_description_is_what_an_app_needs(task):
    """A subnet file tells data set, classes, mean and deviation."""
    assert task.describe() == {
        "dataset": "brightness",
        "classes": list("abcde"),
        "mean": [0.4, 0.5, 0.6],
        "std": [0.2, 0.25, 0.5],
    }
    wide = dataclasses.replace(task, images_digest="0011", levels=(2830, 3010)).describe()
    assert wide == {**task.describe(), "images": "0011", "levels": [2830, 3010]}


def test_a_subset_takes_images_and_labels_together():
    """A subset holds the images at the indices, in their order."""
    whole = image_set(10)
    part = whole.select(np.array([7, 2]))
    assert part.labels.tolist() == [2, 2]
    assert torch.equal(part.images, whole.images[[7, 2]])


def as_files(images, *, pool):
    """Return a split whose images are read from paths that number them."""
    pixels = images.images.permute(0, 2, 3, 1).contiguous().numpy()
    paths = np.array([str(number) for number in range(len(pixels))], dtype=object)
    files = ImageFiles(paths=paths, size=pixels.shape[1], read=lambda path: pixels[int(path)], pool=pool)
    return ImageSet(images=files, labels=images.labels)


def test_files_give_the_batches_that_memory_gives(task):
    """An epoch is the same to the last bit, wherever its images lie."""
    with ThreadPoolExecutor(2) as pool:
        unread = dataclasses.replace(task, train=as_files(task.train, pool=pool))
        pairs = zip(batches(task, resolutions=(8, 12)), batches(unread, resolutions=(8, 12)), strict=True)
        for (images, labels), (read, read_labels) in pairs:
            assert torch.equal(images, read)
            assert torch.equal(labels, read_labels)


def test_splits_of_either_storage_are_selected_loaded_and_concatenated(task):
    """Selected, loaded and concatenated splits hold the same images and labels in files as in memory."""
    with ThreadPoolExecutor(2) as pool:
        unread = as_files(task.train, pool=pool)
        some, more = np.array([9, 4, 30]), torch.tensor([1, 2])
        for kept, read in (
            (task.train.select(some), unread.select(some).load()),
            (
                concatenate(task.train.select(some), task.train.select(more)),
                concatenate(unread.select(some), unread.select(more)),
            ),
        ):
            assert torch.equal(kept.images, read.to_tensor())
            assert torch.equal(kept.labels, read.labels)


def test_statistics_of_many_images_are_those_of_a_fixed_choice():
    """Of more than 4,096 images a choice is looked at, the same on each call and wherever they lie."""
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (5000, 3, 2, 2)).astype(np.uint8))
    with ThreadPoolExecutor(2) as pool:
        files = as_files(ImageSet(images=images, labels=torch.zeros(5000)), pool=pool).images
        found = compute_channel_statistics(images)
        assert found == compute_channel_statistics(files)
    exact = images.double().div(255).mean(dim=(0, 2, 3)).tolist()
    assert found[0] == pytest.approx(exact, abs=0.02)
    assert found[0] != pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("resolution", [20, 48])
def test_prepare_resizes_as_pillow_does(task, mode, resolution):
    """Smaller or larger, by either interpolation, pixels differ from Pillow's by no more than rounding."""
    noise = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    picture = np.array(Image.fromarray(noise).resize((32, 32), Image.Resampling.BICUBIC))
    plain = dataclasses.replace(task, mean=(0.0,) * 3, std=(1.0,) * 3, interpolation=mode)
    x = plain.prepare(torch.from_numpy(picture).permute(2, 0, 1)[None], resolution)[0]
    assert 0 <= float(x.min()) <= float(x.max()) <= 1
    resized = Image.fromarray(picture).resize((resolution,) * 2, Image.Resampling[mode.upper()])
    expected = torch.from_numpy(np.array(resized)).permute(2, 0, 1) / 255
    assert float((x - expected).abs().max()) < 2 / 255


def test_mixed_labels_are_the_shares_of_the_area():
    """Each image is one image with a rectangle of another, and its labels are the shares of the pixels of each."""
    plain = torch.arange(4, dtype=torch.float32).view(4, 1, 1, 1).expand(4, 3, 20, 20)
    state = torch.random.get_rng_state()
    inside = 0
    for seed in range(10):
        mixed, shares = apply_cutmix(plain, torch.tensor([0, 1, 2, 3]), 5, seed)
        for image, share in zip(mixed, shares, strict=True):
            areas = torch.stack([(image[0] == label).float().mean() for label in range(5)])
            assert torch.allclose(share, areas, atol=1e-6)
        inside += bool((shares > 0).sum() == 8)
    assert inside > 5
    assert torch.equal(torch.random.get_rng_state(), state)


def test_batches_are_mixed_as_often_as_asked_for(task):
    """Mixed batches have shares for labels and come with the probability given; the same seed gives the same ones."""

    def drawn(share):
        recipe = Recipe(batch_size=2, cutmix=share)
        return list(iterate_train_batches(task, recipe, [8], torch.Generator().manual_seed(1)))

    assert all(labels.ndim == 1 for _, labels in drawn(0.0))
    assert all(labels.shape == (2, 5) for _, labels in drawn(1.0))
    half = drawn(0.5)
    assert 5 < sum(labels.ndim == 2 for _, labels in half) < 21
    for (images, labels), (again, same) in zip(half, drawn(0.5), strict=True):
        assert torch.equal(images, again)
        assert torch.equal(labels, same)
