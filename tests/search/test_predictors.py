"""The predictors by name, on one interface, and the choice of one."""

import numpy as np
import pytest

from natdeploy.core.genotype import bounds, sample
from natdeploy.core.space import SPACES
from natdeploy.errors import InputError
from natdeploy.search.predictor import quality
from natdeploy.search.predictors import BestPredictor, cross_validate, make_predictor
from natdeploy.search.regressors import features
from natdeploy.search.settings import AUTO, PREDICTORS, SINGLE_PREDICTORS
from tests.landscapes import accuracy
from tests.strategies import ALL_SPACES

pytestmark = pytest.mark.usefixtures("one_thread")

NAT = SPACES["nat"]
MEMBERS = 40


def make(name, seed=0):
    """Return a predictor."""
    return make_predictor(name, NAT, rng=np.random.default_rng(seed), members=MEMBERS)


@pytest.fixture(scope="module")
def known():
    """Architectures with their accuracy."""
    rows = sample(NAT, 120, np.random.default_rng(1))
    return rows, accuracy(rows)


@pytest.fixture(scope="module")
def unseen():
    """Other architectures with theirs."""
    rows = sample(NAT, 200, np.random.default_rng(2))
    return rows, accuracy(rows)


@pytest.mark.parametrize("name", PREDICTORS)
def test_every_predictor_orders_what_it_has_not_seen(name, known, unseen):
    """Each of them orders unseen architectures better than chance, the nearest neighbours least."""
    predictor = make(name)
    predictor.fit(*known)
    found = quality(predictor.predict(unseen[0]), unseen[1])
    assert found["kendall"] > (0.2 if name == "knn" else 0.5)
    assert found["rmse"] < np.std(unseen[1])


@pytest.mark.parametrize("name", PREDICTORS)
def test_predictions_hang_on_the_seed_alone(name, known, unseen):
    """With one seed, two predictors of a name predict the same."""
    both = [make(name, seed=3) for _ in range(2)]
    for predictor in both:
        predictor.fit(*known)
    assert np.array_equal(*(predictor.predict(unseen[0]) for predictor in both))


@pytest.mark.parametrize("name", PREDICTORS)
def test_learning_again_forgets(name, known, unseen):
    """What was learnt before does not matter to what is learnt anew."""
    predictor = make(name)
    predictor.fit(*known)
    predictor.fit(known[0], 1 - known[1])
    assert quality(predictor.predict(unseen[0]), unseen[1])["kendall"] < 0


@pytest.mark.parametrize("name", SINGLE_PREDICTORS)
def test_uncertainty_is_a_deviation_or_nothing(name, known, unseen):
    """The ensemble and the Gaussian process know how sure they are of each row, the others say that they do not."""
    predictor = make(name)
    predictor.fit(*known)
    found = predictor.uncertainty(unseen[0])
    if name in {"rbf", "gp"}:
        assert found.shape == (200,)
        assert (found > 0).all()
    else:
        assert found is None


def test_the_best_predictor_is_the_one_that_cross_validates_best(known, unseen):
    """The choice predicts exactly as the predictor that it names, and passes on what that one knows of itself."""
    best = BestPredictor(NAT, rng=np.random.default_rng(0), members=MEMBERS)
    best.fit(*known)
    tau = {
        name: cross_validate(name, NAT, *known, rng=np.random.default_rng(9), members=MEMBERS)["kendall"]
        for name in SINGLE_PREDICTORS
    }
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
        cross_validate("ridge", NAT, known[0][:8], known[1][:8], rng=np.random.default_rng(0))


def test_cross_validation_does_not_see_what_it_predicts(known):
    """Values without any order are not predicted, even by a model that reproduces what it was fitted on."""
    noise = np.random.default_rng(0).uniform(size=len(known[0]))
    found = cross_validate("knn", NAT, known[0], noise, rng=np.random.default_rng(0))
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
    found = features(space, rows)
    assert len(np.unique(found, axis=0)) == len(rows)
    assert (found >= 0).all()
    assert (found <= 1).all()
    assert features(space, bounds(space)[1][None]).min() == 1
