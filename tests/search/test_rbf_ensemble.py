"""The RBF ensemble."""

import numpy as np
import pytest
from scipy.interpolate import RBFInterpolator

from natdeploy.core.genotype import bounds, sample
from natdeploy.errors import InputError
from natdeploy.io.spaces import find_space
from natdeploy.search import rbf_ensemble
from natdeploy.search.rbf_ensemble import RBFEnsemble
from natdeploy.testing.accuracy import made_up_accuracy
from tests.support.strategies import TINY

NAT = find_space("nat")


def make(space=NAT, *, ensemble_size=60, seed=0):
    """Return an ensemble."""
    return RBFEnsemble(*bounds(space), ensemble_size=ensemble_size, rng=np.random.default_rng(seed))


def fitted(rows, top1, **arguments):
    """Return an ensemble that has learnt."""
    predictor = make(**arguments)
    predictor.fit(rows, top1)
    return predictor


@pytest.fixture(scope="module")
def known():
    """Architectures with their accuracy."""
    rows = sample(NAT, 100, np.random.default_rng(1))
    return rows, made_up_accuracy(rows)


@pytest.fixture(scope="module")
def unseen():
    """Other architectures with theirs."""
    rows = sample(NAT, 300, np.random.default_rng(2))
    return rows, made_up_accuracy(rows)


def test_a_member_of_all_genes_interpolates():
    """Where every member sees what varies, the ensemble gives the values that it learnt."""
    lower, upper = bounds(NAT)
    upper = lower.copy()
    upper[[0, 5]] = [16, 9]
    rows = np.repeat(lower[None], 30, axis=0)
    rng = np.random.default_rng(0)
    rows[:, 0], rows[:, 5] = rng.permutation(30) % 17, rng.permutation(30) % 10
    one_gene = RBFEnsemble(lower, np.where(np.arange(22) == 0, upper, lower), ensemble_size=5, rng=rng)
    values = np.sin(rows[:, 0]) + 3
    one_gene.fit(rows, values)
    np.testing.assert_allclose(one_gene.predict(rows), values, atol=1e-4)


def test_a_line_is_learnt_exactly():
    """What is linear in the only gene that varies is predicted beyond the rows that were learnt, too."""
    lower, _ = bounds(NAT)
    upper = np.where(np.arange(22) == 0, 16, lower)
    rows = np.repeat(lower[None], 17, axis=0)
    rows[:, 0] = np.arange(17)
    predictor = RBFEnsemble(lower, upper, ensemble_size=3, rng=np.random.default_rng(0))
    predictor.fit(rows[4:10], 0.5 + 0.02 * rows[4:10, 0])
    np.testing.assert_allclose(predictor.predict(rows), 0.5 + 0.02 * np.arange(17), atol=1e-5)


def test_predictions_hang_on_the_seed(known, unseen):
    """The same seed gives the same predictions, another seed others."""
    first, again, other = (fitted(*known, seed=seed).predict(unseen[0]) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_duplicates_are_averaged(unseen):
    """A row that was told twice with different values counts as one row of their mean."""
    rows = sample(NAT, 40, np.random.default_rng(4))
    values = made_up_accuracy(rows)
    lower, _ = bounds(NAT)
    upper = np.where(np.arange(22) == 0, 16, lower)
    told = []
    for repeated in (False, True):
        predictor = RBFEnsemble(lower, upper, ensemble_size=4, rng=np.random.default_rng(0))
        if repeated:
            predictor.fit(np.concatenate([rows, rows]), np.concatenate([values - 0.1, values + 0.1]))
        else:
            predictor.fit(rows, values)
        told.append(predictor.predict(unseen[0]))
    np.testing.assert_allclose(told[0], told[1], atol=1e-5)


@pytest.mark.parametrize("distinct", [0, 1, 3])
def test_too_few_rows_are_refused(known, distinct):
    """Fewer than four distinct rows are refused, however often they are repeated."""
    rows = np.repeat(known[0][:distinct], 20, axis=0)
    with pytest.raises(InputError, match=f"at least 4 distinct architectures, not {distinct}"):
        make().fit(rows, np.zeros(len(rows)))


def test_rows_that_hardly_vary_are_learnt():
    """Genes of two values each, of which no choice tells many rows apart, neither hang nor fail."""
    rows = np.array([[0, 0, 1, 0, 1, 0], [1, 0, 1, 0, 1, 0], [0, 1, 1, 0, 1, 0], [1, 1, 1, 0, 1, 0]])
    values = np.array([0.1, 0.2, 0.3, 0.4])
    predicted = fitted(rows, values, space=TINY, ensemble_size=8).predict(rows)
    assert np.isfinite(predicted).all()
    assert np.argmax(predicted) == 3


def test_members_are_those_that_solve_their_systems_one_by_one(known, unseen):
    """The batched solution is the mean of interpolants that are built one member at a time."""
    rows, values = known[0][:40], known[1][:40]
    predictor = fitted(rows, values, ensemble_size=3)
    lower, upper = bounds(NAT)
    scaled, asked = ((part - lower) / np.maximum(upper - lower, 1) for part in (rows, unseen[0][:20]))
    total = np.zeros(20)
    for genes in predictor._genes.T.astype(bool):
        centres, inverse = np.unique(scaled[:, genes], axis=0, return_inverse=True)
        means = np.bincount(inverse.ravel(), weights=values) / np.bincount(inverse.ravel())
        total += RBFInterpolator(centres, means, kernel="cubic", degree=1)(asked[:, genes])
    np.testing.assert_allclose(predictor.predict(unseen[0][:20]), total / 3, atol=1e-4)


def test_uncertainty_grows_with_distance(known):
    """Members agree about what they were told more than about what lies far from it."""
    predictor = fitted(*known)
    near = predictor.uncertainty(known[0])
    small, large = (np.where(np.arange(22) < 2, 0, gene)[None] for gene in (1, 9))
    assert near.shape == (100,)
    assert (near >= 0).all()
    assert near.mean() < predictor.uncertainty(np.concatenate([small, large])).mean()


def test_blocks_do_not_matter(known, unseen, monkeypatch):
    """However many rows are worked on at once, predictions and uncertainties are the same."""
    predictor = fitted(*known)
    whole = predictor.predict(unseen[0]), predictor.uncertainty(unseen[0])
    monkeypatch.setattr(rbf_ensemble, "_BLOCK", 1)
    np.testing.assert_allclose(predictor.predict(unseen[0]), whole[0], rtol=1e-4)
    np.testing.assert_allclose(predictor.uncertainty(unseen[0]), whole[1], rtol=1e-3, atol=1e-5)
