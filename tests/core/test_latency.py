"""Latency tables: what they cover, and what they say of whole networks."""

import dataclasses

import numpy as np
import pytest

from natdeploy.core.architecture import largest, smallest
from natdeploy.core.cost import space_layers
from natdeploy.core.genotype import decode, sample
from natdeploy.core.latency import CLASSIFIER_COUNTS, LatencyCorrection, LatencyStats, LatencyTable, describe_layer
from natdeploy.core.layers import CLASSIFIER, walk
from natdeploy.errors import CoverageError, InputError
from natdeploy.io.spaces import find_space
from tests.support.strategies import SMALL

NAT = find_space("nat").with_resolutions((192, 224))


def stats(median_ms):
    """Return statistics with a median."""
    return LatencyStats(median_ms=median_ms, p10_ms=median_ms, p90_ms=median_ms, mean_ms=median_ms, std_ms=0.0, runs=10)


def layer_cost(layer):
    """Return a latency that differs from layer to layer."""
    return 0.01 + layer.madds * 1e-7 + layer.kernel * 1e-3 + layer.in_size * 1e-4


def make_table(deployment, space, *, classes=CLASSIFIER_COUNTS, cost=layer_cost, correction=None):
    """Return a table that covers a space."""
    layers = [
        layer for r in space.resolutions for width in space.widths for layer in space_layers(space, width, r, classes)
    ]
    rows = {layer: stats(cost(layer)) for layer in layers}
    return LatencyTable(
        deployment=deployment, provenance="measured", method="test", rows=rows, latency_correction=correction
    )


def without(table, dropped):
    """Return the table less the rows for which `dropped` holds."""
    return dataclasses.replace(table, rows={layer: row for layer, row in table.rows.items() if not dropped(layer)})


CORRECTION = LatencyCorrection(
    alpha_ms=0.7, beta=1.3, gamma_ms=-0.02, lower_ratio=0.9, upper_ratio=1.2, coverage=0.95, networks=20
)


def test_a_network_takes_the_sum_of_its_layers(deployment):
    """Without a correction the prediction is the sum, and has no interval."""
    layers = walk(NAT, largest(NAT), 10)
    prediction = make_table(deployment, NAT).predict(layers)
    assert prediction.latency_ms == pytest.approx(sum(layer_cost(layer) for layer in layers), rel=1e-12)
    assert (prediction.lower_ms, prediction.upper_ms, prediction.coverage) == (None, None, None)


def test_a_calibration_corrects_the_sum(deployment):
    """The prediction is alpha + beta x sum + gamma x searchable blocks, with an interval around it."""
    layers = walk(NAT, smallest(NAT), 10)
    plain = make_table(deployment, NAT).predict(layers).latency_ms
    prediction = make_table(deployment, NAT, correction=CORRECTION).predict(layers)
    value = 0.7 + 1.3 * plain - 0.02 * 10
    assert prediction.latency_ms == pytest.approx(value, rel=1e-12)
    assert prediction.lower_ms == pytest.approx(0.9 * value, rel=1e-12)
    assert prediction.upper_ms == pytest.approx(1.2 * value, rel=1e-12)
    assert prediction.coverage == 0.95


@pytest.mark.parametrize("correction", [None, CORRECTION], ids=["plain", "calibrated"])
@pytest.mark.parametrize("space", [NAT, SMALL], ids=lambda space: space.name)
@pytest.mark.parametrize("classes", [10, 47, 1000])
def test_the_compiled_table_predicts_the_same(deployment, space, correction, classes):
    """Compiled for a space, the table gives each architecture what it predicts of its layers."""
    table = make_table(deployment, space, correction=correction)
    rows = sample(space, 40, np.random.default_rng(0))
    expected = [table.predict(walk(space, decode(space, row), classes)).latency_ms for row in rows]
    np.testing.assert_allclose(table.compile(space, classes)(rows), expected, rtol=1e-12)


def test_the_cheapest_of_a_calibrated_table_is_the_cheapest(deployment):
    """Also where each block is credited so much that deeper networks are quicker, the quickest is found."""
    correction = dataclasses.replace(CORRECTION, gamma_ms=-1.0)
    array = make_table(deployment, SMALL, correction=correction).compile(SMALL, 10)
    genotype, latency_ms = array.cheapest(SMALL)
    assert latency_ms <= array(sample(SMALL, 5000, np.random.default_rng(0))).min()
    assert array(genotype[None])[0] == pytest.approx(latency_ms, rel=1e-12)
    assert decode(SMALL, genotype).depths == (3, 3, 3)


def test_the_upper_bound_is_relative(deployment):
    """The ratio of bound and prediction is the correction's, and 1 without one."""
    assert make_table(deployment, SMALL).upper_ratio == 1.0
    assert make_table(deployment, SMALL, correction=CORRECTION).upper_ratio == 1.2


def classifier_table(deployment, times):
    """Return a table with classifier rows of these counts of classes."""
    rows = {classifier(count): stats(time_ms) for count, time_ms in times.items()}
    return LatencyTable(deployment=deployment, provenance="measured", method="test", rows=rows)


def classifier(classes):
    """Return the classifier of the narrow nat networks."""
    return walk(NAT, smallest(NAT), classes)[-1]


@pytest.mark.parametrize(
    ("classes", "expected_ms"),
    [(10, 1.0), (55, 1.5), (100, 2.0), (550, 3.0), (1000, 4.0), (1900, 6.0), (5, 1.0), (1, 1.0)],
)
def test_classifiers_are_interpolated(deployment, classes, expected_ms):
    """Between measured counts the latency is linear, above them it goes on so, below it is that of the smallest."""
    table = classifier_table(deployment, {1000: 4.0, 10: 1.0, 100: 2.0})
    assert table.layer_ms(classifier(classes)) == pytest.approx(expected_ms, rel=1e-12)
    assert table.covers(classifier(classes))


def test_one_count_of_classes_is_an_upper_bound(deployment):
    """A table with one classifier row serves smaller counts with that row, and refuses larger ones."""
    table = classifier_table(deployment, {1000: 4.0})
    assert table.layer_ms(classifier(10)) == 4.0
    assert not table.covers(classifier(1001))
    with pytest.raises(CoverageError, match=r"classifier 1x1 1280->1001"):
        table.layer_ms(classifier(1001))


def test_noise_never_makes_more_classes_quicker_than_fewer(deployment):
    """Where the larger count was measured quicker, the counts between take what the smaller does."""
    table = classifier_table(deployment, {10: 2.0, 100: 1.0})
    assert table.layer_ms(classifier(50)) == 2.0
    assert table.layer_ms(classifier(5000)) == 2.0


def test_a_classifier_of_another_width_does_not_serve(deployment):
    """Only rows that differ in the count of classes alone are interpolated between."""
    wide = walk(NAT, dataclasses.replace(smallest(NAT), width=1.2), 55)[-1]
    assert not classifier_table(deployment, {10: 1.0, 100: 2.0}).covers(wide)


def test_missing_layers_are_named(deployment):
    """A network with layers that the table lacks is refused with each of them, never priced at zero."""
    layers = walk(NAT, largest(NAT), 10)
    table = without(make_table(deployment, NAT), lambda layer: layer == layers[5])
    message = rf"board \(onnxruntime, fp32, batch 1, 1 thread\) lacks \d+ rows?: {describe_layer(layers[5])}"
    with pytest.raises(CoverageError, match=message.replace("->", "-.")) as caught:
        table.predict(layers)
    assert "profile --device board" in caught.value.hint
    with pytest.raises(CoverageError, match="lacks 1 row"):
        table.compile(NAT.with_resolutions((224,)), 10)
    with pytest.raises(CoverageError, match="lacks 1 row"):
        table.layer_ms(layers[5])
    assert set(table.find_missing(layers)) == {layers[5]}


def test_many_missing_layers_are_counted(deployment):
    """Of many missing rows, each counted once, five are named and the others counted."""
    table = without(make_table(deployment, NAT), lambda layer: layer.op == "block")
    with pytest.raises(CoverageError, match=r"lacks 11 rows: (block [^;]+; ){5}and 6 more$"):
        table.predict(walk(NAT, largest(NAT), 10))


def test_covered_resolutions(deployment):
    """Only resolutions at which every layer of every width is covered count."""
    space = NAT.with_resolutions((192, 208, 224))
    table = make_table(deployment, NAT)
    assert table.find_covered_resolutions(space, 10) == (192, 224)
    wide = without(table, lambda layer: layer.op == "stem" and layer.out_channels == 24 and layer.in_size == 192)
    assert wide.find_covered_resolutions(space, 10) == (224,)
    assert wide.find_covered_resolutions(dataclasses.replace(space, widths=(1.0,)), 10) == (192, 224)
    headless = without(table, lambda layer: layer.op == CLASSIFIER and layer.out_channels != 10)
    assert headless.find_covered_resolutions(space, 10) == (192, 224)
    assert headless.find_covered_resolutions(space, 11) == ()


@pytest.mark.parametrize("field", ["median_ms", "p10_ms", "p90_ms", "mean_ms", "std_ms"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_figures_that_are_no_latency_are_refused(field, value):
    """Negative, infinite and undefined figures are refused by name."""
    with pytest.raises(InputError, match=f"{field} is {value:g}: a latency is a positive number"):
        dataclasses.replace(stats(1.0), **{field: value})


def test_a_median_of_zero_is_refused():
    """Nothing takes no time; a deviation may be zero."""
    with pytest.raises(InputError, match="median_ms is 0"):
        stats(0.0)
    with pytest.raises(InputError, match="runs is -1"):
        dataclasses.replace(stats(1.0), runs=-1)
    assert stats(1.0).std_ms == 0


def test_statistics_scale_together():
    """Something that takes twice as long has all figures doubled, and as many runs."""
    one = LatencyStats(median_ms=1.0, p10_ms=0.5, p90_ms=2.0, mean_ms=1.2, std_ms=0.3, runs=7)
    assert one.scale(2.0) == LatencyStats(median_ms=2.0, p10_ms=1.0, p90_ms=4.0, mean_ms=2.4, std_ms=0.6, runs=7)


def test_an_unknown_provenance_is_refused(deployment):
    """A table says how its rows came about, in one of the known words."""
    with pytest.raises(InputError, match=r"unknown provenance 'guessed' \(known: measured"):
        LatencyTable(deployment=deployment, provenance="guessed", method="test", rows={})


def test_targets_name_themselves(deployment):
    """A deployment has a file of its own within its device's folder, and reads as a sentence's part."""
    assert deployment.file_name == "onnxruntime-fp32-b1-t1.csv"
    assert str(dataclasses.replace(deployment, threads=4)) == "board (onnxruntime, fp32, batch 1, 4 threads)"


def test_a_folded_op_costs_nothing_of_its_own(deployment):
    """Its time stands in other rows: it adds nothing and counts as covered, while other missing rows are refused."""
    whole = make_table(deployment, SMALL)
    bare = without(whole, lambda layer: layer.op == "pooling")
    folded = dataclasses.replace(bare, folded=("pooling",))
    layers = walk(SMALL, largest(SMALL), 10)
    pooling = next(layer for layer in layers if layer.op == "pooling")
    assert not bare.covers(pooling)
    assert folded.covers(pooling)
    expected = whole.predict(layers).latency_ms - layer_cost(pooling)
    assert folded.predict(layers).latency_ms == pytest.approx(expected, rel=1e-12)
    assert folded.find_covered_resolutions(SMALL, 10) == SMALL.resolutions
    stemless = dataclasses.replace(without(bare, lambda layer: layer.op == "stem"), folded=("pooling",))
    with pytest.raises(CoverageError, match="lacks 1 row: stem"):
        stemless.predict(layers)


@pytest.mark.parametrize(("folded", "said"), [("poling", "unknown folded op"), ("stem", "has rows of its own")])
def test_folding_is_refused_where_it_makes_no_sense(deployment, folded, said):
    """An op that does not exist or has rows cannot be folded into others."""
    with pytest.raises(InputError, match=said):
        dataclasses.replace(make_table(deployment, SMALL), folded=(folded,))


def test_statistics_of_times():
    """Median, p10 and p90 are interpolated over the times, the deviation is that of the whole sample."""
    found = LatencyStats.from_times([5.0, 1.0, 2.0, 3.0, 4.0], runs=7)
    assert (found.median_ms, found.mean_ms, found.runs) == (3, 3, 7)
    assert (found.p10_ms, found.p90_ms, found.std_ms) == pytest.approx((1.4, 4.6, 2**0.5))


def test_statistics_are_rounded_to_the_nanosecond():
    """Six digits of a millisecond stay; a latency that rounds to nothing is refused."""
    times = LatencyStats.from_times([1.0, 2.0], runs=2)
    assert times.scale(1 / 3).round().median_ms == 0.5
    assert times.scale(1 / 9).round().median_ms == 0.166667
    with pytest.raises(InputError, match="median_ms is 0"):
        times.scale(1e-9).round()
