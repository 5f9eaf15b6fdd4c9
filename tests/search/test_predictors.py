"""The predictors by name, on one interface, and the choice of one."""

from functools import partial

import numpy as np
import pytest

from natdeploy.core.genotype import bounds, sample
from natdeploy.errors import InputError
from natdeploy.io.spaces import find_space
from natdeploy.search.predictors import BestPredictor, cross_validate, make_predictor
from natdeploy.search.regressors import compute_features
from natdeploy.search.settings import AUTO, PREDICTORS, SINGLE_PREDICTORS
from natdeploy.testing.accuracy import made_up_accuracy
from natdeploy.testing.predictors import PredictorContract
from tests.support.strategies import ALL_SPACES

NAT = find_space("nat")
MEMBERS = 40


def make(name):
    """Return a predictor."""
    return maker(name)(NAT, np.random.default_rng(0))


def maker(name):
    """Return what makes predictors of this name."""
    return lambda space, rng: make_predictor(name, space, rng=rng, ensemble_size=MEMBERS)


@pytest.fixture(scope="module")
def known():
    """Architectures with their accuracy."""
    rows = sample(NAT, 120, np.random.default_rng(1))
    return rows, made_up_accuracy(rows)


@pytest.fixture(scope="module")
def unseen():
    """Other architectures with theirs."""
    rows = sample(NAT, 200, np.random.default_rng(2))
    return rows, made_up_accuracy(rows)


class TestPredictors(PredictorContract):
    """Each predictor by name, and the choice among them, does what every predictor must do."""

    @pytest.fixture(scope="class", params=[name for name in PREDICTORS if name != "knn"])
    @classmethod
    def build(cls, request):
        """Every one but the nearest neighbours."""
        return maker(request.param)


class TestNearestNeighbours(PredictorContract):
    """Nearest neighbours do what every predictor must do, though they order least well."""

    least_tau = 0.2

    @pytest.fixture(scope="class")
    @classmethod
    def build(cls):
        """Nearest neighbours."""
        return maker("knn")


@pytest.mark.parametrize("name", SINGLE_PREDICTORS)
def test_the_ensemble_and_the_gaussian_process_know_how_sure_they_are(name, known, unseen):
    """They return a deviation, the others None."""
    predictor = make(name)
    predictor.fit(*known)
    found = predictor.uncertainty(unseen[0])
    assert (found is not None) == (name in {"rbf", "gp"})


def test_the_best_predictor_is_the_one_that_cross_validates_best(known, unseen):
    """The choice predicts exactly as the predictor that it names, and passes on what that one knows of itself."""
    best = BestPredictor(NAT, rng=np.random.default_rng(0), ensemble_size=MEMBERS)
    best.fit(*known)
    tau = {}
    for name in SINGLE_PREDICTORS:
        rng = np.random.default_rng(9)
        again = partial(make_predictor, name, NAT, rng=rng, ensemble_size=MEMBERS)
        tau[name] = cross_validate(again, *known, rng=rng)["kendall"]
    assert tau[best.name] > max(tau.values()) - 0.05
    if best.name in {"gp", "ridge", "knn"}:
        alone = make(best.name)
        alone.fit(*known)
        np.testing.assert_allclose(best.predict(unseen[0]), alone.predict(unseen[0]))
    assert (best.uncertainty(unseen[0]) is not None) == (best.name in {"rbf", "gp"})


def test_few_rows_are_not_cross_validated(known):
    """With too few rows to leave any out, the ensemble is taken; cross-validation itself refuses them."""
    best = make(AUTO)
    best.fit(known[0][:8], known[1][:8])
    assert best.name == "rbf"
    with pytest.raises(InputError, match="at least 10 architectures, not 8"):
        cross_validate(partial(make, "ridge"), known[0][:8], known[1][:8], rng=np.random.default_rng(0))


def test_cross_validation_does_not_see_what_it_predicts(known):
    """Values without any order are not predicted, even by a model that reproduces what it was fitted on."""
    noise = np.random.default_rng(0).uniform(size=len(known[0]))
    found = cross_validate(partial(make, "knn"), known[0], noise, rng=np.random.default_rng(0))
    assert abs(found["kendall"]) < 0.25


def test_an_unknown_name_is_refused():
    """The message lists the names, the hint gives the nearest."""
    with pytest.raises(InputError, match="known: auto, rbf") as refused:
        make("tree")
    assert "'trees'" in refused.value.hint


@pytest.mark.parametrize("space", ALL_SPACES, ids=lambda space: space.name)
def test_features_tell_architectures_apart(space):
    """Distinct architectures have distinct features between 0 and 1."""
    rows = np.unique(sample(space, 200, np.random.default_rng(0)), axis=0)
    found = compute_features(space, rows)
    assert len(np.unique(found, axis=0)) == len(rows)
    assert (found >= 0).all()
    assert (found <= 1).all()
    assert compute_features(space, bounds(space)[1][None]).min() == 1
