"""Loss surfaces: closed forms, the paths that training takes, and grids from coarse to fine."""

import numpy as np
import pytest

import treadle as td
from small_sets import fit, line, pictures, three_classes
from treadle.errors import TreadleError
from treadle.nn import BatchNorm, Conv2d, Dropout, Flatten, Linear, ReLU, Sequential
from treadle.train import score
from treadle.train.plane import Plane, pca_plane, random_plane, weights_plane
from treadle.tree import leaves

SGD, ADAM = td.optim.SGD(0.1), td.optim.Adam(0.05)
WEIGHTS = ("linear1.weight[0,0]", "linear1.weight[1,0]")


def surface(sets, network=None, **settings):
    settings = {
        "loss": "cross_entropy" if sets.train.classes else "squared_error", "scale": "none", "dtype": np.float64,
        "steps": 20, "batch_size": 20, "finest": 9, "seconds": 1e9,
    } | settings  # fmt: skip
    return td.loss_surface(network or Sequential(Linear(3 if sets.train.classes else 1)), sets, **settings)


def test_a_linear_model_has_the_paraboloid_of_least_squares():
    sets = line(40, noise=0.1, features=2)
    x, y = sets.train.inputs, sets.train.targets
    network = Sequential(Linear(1, bias=False))
    found = surface(sets, network, optimizers=[SGD, ADAM], directions=WEIGHTS, span=(-3, 4, -2, 5))
    for row, second in enumerate(found.y):
        for column, first in enumerate(found.x):
            expected = np.mean((x @ [first, second] - y) ** 2)
            assert found.losses[row, column] == pytest.approx(expected, rel=1e-12)
    assert (found.x[0], found.x[-1], found.y[0], found.y[-1]) == (-3, 4, -2, 5)
    for path in found.paths:  # with two weights in all, it lies in the plane
        assert path.explained == pytest.approx(1, abs=1e-14)
        np.testing.assert_allclose(path.projected, path.losses, rtol=1e-12)
        np.testing.assert_allclose([np.mean((x @ p - y) ** 2) for p in path.points], path.losses, rtol=1e-12)


def test_paths_are_what_training_does():
    sets, seen = three_classes(), {}
    fit(
        sets, Sequential(Linear(3)), optimizer=ADAM, batch_size=20, epochs=7, seed=3, scale="none", dtype=np.float64,
        on_step=lambda state, _: seen.setdefault(state.step, state.params["linear1"]["weight"].copy()),
    )  # fmt: skip
    found = surface(sets, optimizers=[ADAM, SGD], directions=WEIGHTS, seed=3, points=5)
    assert [path.name for path in found.paths] == ["Adam(lr=0.05)", "SGD(0.1)"]
    first = found.paths[0]
    assert first.steps.tolist() == [0, 5, 10, 15, 20]
    for step, point in zip(first.steps[1:], first.points[1:], strict=True):
        np.testing.assert_array_equal(point, seen[step][[0, 1], 0])
    assert (found.paths[0].points[0] == found.paths[1].points[0]).all()  # the same beginning
    assert first.projected[-1] == first.losses[-1]  # the plane goes through its end
    assert 0 < first.explained < 1


def test_true_losses_are_those_of_evaluation_with_running_means_of_the_step():
    sets = pictures()
    network = Sequential(Conv2d(4, 3), BatchNorm(), ReLU(), Dropout(0.3), Flatten(), Linear(4))
    run = fit(sets, network, optimizer=ADAM, batch_size=8, epochs=2, dtype=np.float64)
    found = surface(
        sets, network, optimizers=[ADAM], directions="random", batch_size=8, steps=run.step, samples=40, finest=5,
        scale="minmax",
    )  # fmt: skip
    assert found.paths[0].losses[-1] == pytest.approx(score(run, sets.train)["loss"], rel=1e-12)
    path = found.paths[0]
    assert path.projected[-1] == path.losses[-1] == found.losses[2, 2]  # the running means of the end, in the plane too
    assert found.samples == 40


def test_principal_components_are_those_of_the_path():
    draws = np.random.default_rng(0)
    center = draws.normal(size=50)
    points = [center + step for step in draws.normal(size=(8, 50)) * np.linspace(3, 0.1, 50)] + [center]
    plane = pca_plane(center, points)
    _, sizes, rows = np.linalg.svd(np.array(points) - center, full_matrices=False)
    np.testing.assert_allclose(np.abs(np.sum(plane.directions * rows[:2], axis=1)), 1, rtol=1e-12)
    np.testing.assert_allclose(plane.directions @ plane.directions.T, np.eye(2), atol=1e-12)
    assert plane.project(points, center)[1] == pytest.approx(np.sum(sizes[:2] ** 2) / np.sum(sizes**2), rel=1e-12)
    with pytest.raises(TreadleError, match="the paths lie on one line"):
        pca_plane(center, [center, center + 1, center + 3])
    with pytest.raises(TreadleError, match="the paths lie on one line"):
        pca_plane(center, [center])


def test_random_directions_are_as_long_as_the_filters():
    network = Sequential(Conv2d(3, 3), Flatten(), Linear(4))
    made = network.init((2, 5, 5), seed=0, dtype=np.float64)
    places, parts, begin = {}, [], 0
    for path, leaf in leaves(made):
        places[path] = begin, leaf.shape
        parts.append(leaf.ravel() + (0.5 if path.endswith("bias") else 0))
        begin += leaf.size
    center = np.concatenate(parts)
    plane = random_plane(center, places, seed=1)

    def at(vector, path):
        begin, shape = places[path]
        return vector[begin : begin + int(np.prod(shape))].reshape(shape)

    for direction in plane.directions:
        for path, axes in (("conv2d1.weight", (1, 2, 3)), ("linear1.weight", (0,))):
            lengths = [np.sqrt(np.sum(at(vector, path) ** 2, axis=axes)) for vector in (direction, center)]
            np.testing.assert_allclose(*lengths, rtol=1e-12)
        assert not at(direction, "conv2d1.bias").any()
        assert not at(direction, "linear1.bias").any()
    assert (random_plane(center, places, seed=1).directions == plane.directions).all()
    assert not np.allclose(plane.directions[0], plane.directions[1])
    with pytest.raises(TreadleError, match="these are all 0"):
        random_plane(0 * center, places, seed=1)


def test_random_directions_are_not_those_of_the_initial_weights():
    network = Sequential(Linear(50, weight_init="he_normal"))
    made = network.init((40,), seed=3, dtype=np.float64)["linear1"]["weight"].ravel()
    seen = [random_plane(made, {"linear1.weight": (0, (40, 50))}, seed).directions for seed in (2, 3, 4)]
    for one in [made, *seen[0], *seen[2]]:
        for other in seen[1]:
            assert abs(one @ other) < 0.1 * np.linalg.norm(one) * np.linalg.norm(other)


def test_points_in_pieces_give_the_same_plane(monkeypatch):
    draws = np.random.default_rng(0)
    points = [draws.normal(size=50) for _ in range(6)]
    whole = pca_plane(points[-1], points)
    monkeypatch.setitem(pca_plane.__globals__, "_BLOCK", 7)
    np.testing.assert_allclose(pca_plane(points[-1], points).directions, whole.directions, rtol=1e-9)
    assert (whole.directions[np.arange(2), np.abs(whole.directions).argmax(axis=1)] > 0).all()


def test_projection_of_directions_that_are_not_at_right_angles():
    plane = Plane(np.ones(3), np.array([[1.0, 0, 0], [1, 1, 0]]), ("a", "b"), (1, 1))
    points, explained = plane.project([np.array([4.0, 3, 1])], about=plane.center)
    np.testing.assert_allclose(points, [[1, 2]], rtol=1e-14)
    assert explained == pytest.approx(1, abs=1e-14)


def test_grids_go_from_coarse_to_fine_within_the_time():
    levels = []
    found = surface(line(features=2), optimizers=[SGD], directions=WEIGHTS, finest=17, on_level=levels.append)
    assert [len(level.x) for level in levels] == [5, 9, 17]
    for level in levels:
        apart = 16 // (len(level.x) - 1)
        assert (found.losses[::apart, ::apart] == level.losses).all()
        np.testing.assert_allclose(found.x[::apart], level.x, rtol=1e-12)
    hasty = surface(line(features=2), optimizers=[SGD], directions=WEIGHTS, finest=17, seconds=0.0)
    assert (hasty.losses == levels[0].losses).all()
    assert "time was up before 17 × 17" in repr(hasty)
    assert "time was up" not in repr(found)


def test_a_path_that_diverges_ends_early():
    found = surface(line(features=2), optimizers=[SGD, td.optim.SGD(50.0)], directions=WEIGHTS)
    well, ill = found.paths
    assert (well.diverged, ill.diverged) == (False, True)
    assert ill.steps[-1] < 20
    assert ", diverged" in repr(found)


def test_a_path_of_single_samples_is_not_judged_by_one_of_them():
    sets = line(200, noise=0.1, features=3)
    for seed in range(4):
        found = surface(sets, optimizers=td.optim.SGD(0.05), batch_size=1, steps=50, seed=seed, directions="random")
        assert not found.paths[0].diverged


def test_a_path_that_diverges_at_once_is_told():
    for optimizers in ([td.optim.SGD(1e30)], [SGD, td.optim.SGD(1e30)]):
        with pytest.raises(TreadleError, match="diverged before a point of it was kept: lower its learning rate"):
            surface(line(features=2), optimizers=optimizers, directions="pca")


def test_what_paths_need_is_shown_with_a_margin():
    found = surface(line(features=2), optimizers=[SGD], directions=WEIGHTS)
    points = found.paths[0].points
    for axis, low, high in ((0, found.x[0], found.x[-1]), (1, found.y[0], found.y[-1])):
        wide = np.ptp(points[:, axis])
        assert low == pytest.approx(points[:, axis].min() - wide / 4, rel=1e-12)
        assert high == pytest.approx(points[:, axis].max() + wide / 4, rel=1e-12)
    random = surface(line(features=2), optimizers=[SGD], directions="random")
    assert random.x[0] <= -1
    assert random.x[-1] >= 1


def test_without_paths_it_is_about_the_parameters_given():
    sets = three_classes()
    run = fit(sets, Sequential(Linear(3)), epochs=3, scale="none", dtype=np.float64)
    found = surface(sets, parameters=run.parameters, directions="random", samples=50, finest=5)
    assert found.paths == ()
    assert (found.x[0], found.x[-1]) == (-1, 1)
    assert found.losses[2, 2] == pytest.approx(score(run, sets.train)["loss"], rel=1e-12)
    again = surface(sets, parameters=run.parameters, directions="random", samples=50, finest=5)
    assert (again.losses == found.losses).all()


def test_a_loss_that_is_not_finite_stays_in_its_place():
    found = surface(line(features=2), optimizers=[SGD], directions=WEIGHTS, span=(-1, 1e200, -1, 1), finest=5)
    assert np.isinf(found.losses[:, -1]).all()
    assert np.isfinite(found.losses[:, 0]).all()
    assert "to inf" in repr(found)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"directions": "up"}, "directions should be random, pca, or two weights, found 'up'"),
        ({"directions": "pca"}, "principal components are those of paths: give optimisers"),
        ({"directions": WEIGHTS[:1]}, "a plane has two directions, found 1"),
        ({"directions": ("w", "v")}, "a weight should be named such as linear1.weight"),
        ({"directions": ("linear.weight[0,0]", "v")}, "no parameter is called 'linear.weight': did you mean"),
        ({"directions": ("linear1.weight[0,0]", "linear1.weight[2,0]")}, "its last weight is linear1.weight.1,0."),
        ({"directions": ("linear1.weight[0]", "linear1.weight[1]")}, "its last weight is linear1.weight.1,0."),
        ({"directions": (WEIGHTS[0], WEIGHTS[0])}, "takes two weights, and .* are the same"),
        ({"finest": 10}, "finest should be one of 5, 9, 17, 33, 65, 129, 257, found 10"),
        ({"steps": 0}, "steps must be at least 1, found 0"),
        ({"points": 1}, "points must be at least 2, found 1"),
        ({"samples": 0}, "samples must be at least 1, found 0"),
        ({"span": (1, 0, 0, 1)}, "span should be lowest x"),
        ({"span": (0, np.inf, 0, 1)}, "span should be lowest x"),
        ({"finest": 1_048_577}, "finest should be one of"),
        ({"seconds": np.nan}, "seconds must be at least 0, found nan"),
        ({"steps": 2.5}, "steps should be a whole number, found 2.5"),
        ({"threads": 0}, "threads must be at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"optimizers": ["sgd"]}, "optimizers should be such as"),
        ({"directions": None}, "directions should be random, pca, or two weights, found None"),
        ({"parameters": {"a": np.ones(3)}}, "the parameters given do not fit the network"),
    ],
)
def test_what_does_not_fit_is_told(settings, message):
    with pytest.raises(TreadleError, match=message):
        surface(line(features=2), **settings)


def test_a_weight_is_found_where_it_lies():
    places = {"a.weight": (0, (2, 3)), "a.bias": (6, (3,))}
    plane = weights_plane(np.arange(9.0), places, ["a.weight[1,2]", "a.bias[0]"])
    assert plane.directions.argmax(axis=1).tolist() == [5, 6]
    np.testing.assert_array_equal(plane.point(5, 6), np.arange(9.0))
