"""What differs between training and evaluation: batch normalisation, dropout, and the mode that tells them."""

import zlib

import numpy as np
import pytest
from scipy import stats

import treadle as td
from treadle.errors import ShapeError, TreadleError
from treadle.nn import EVALUATION, BatchNorm, Dropout, LayerNorm, Linear, Mode, Module, Residual, Sequential
from treadle.tensor import Tensor
from treadle.tree import leaves


class Seen(Module):
    """Notes the mode it is computed in."""

    def __init__(self):
        self.modes = []

    def forward(self, params, x, mode):  # noqa: ARG002
        self.modes.append(mode)
        return x


def test_the_path_follows_the_names_of_the_parameters():
    inner, side, outer = Seen(), Seen(), Seen()
    network = Sequential(Sequential(Residual(inner, shortcut=[side])), outer)
    mode = Mode(training=True, key=np.uint64(3), updates={})
    network({}, np.ones((1, 2)), mode)
    network({}, np.ones((1, 2)))
    for module, path in (
        (inner, "sequential1.residual1.seen1"),
        (side, "sequential1.residual1.shortcut.seen1"),
        (outer, "seen1"),
    ):
        training, evaluation = module.modes
        assert training == Mode(True, np.uint64(3), path, mode.updates)
        assert training.updates is mode.updates
        assert evaluation == Mode(path=path)
    assert Mode(training=False, key=None, path="", updates=None) == EVALUATION


def test_updates_go_by_the_array_of_the_parameter():
    mean = np.zeros(3)
    mode = Mode(training=True, updates={})
    mode.child("a").update(Tensor(mean), Tensor(np.ones(3)))
    np.testing.assert_array_equal(mode.updates[id(mean)], np.ones(3))
    assert isinstance(mode.updates[id(mean)], np.ndarray)
    Mode(training=True).update(mean, np.ones(3))  # nobody collects


# Batch normalisation -------------------------------------------------------------------------------------------


def train(layer, params, x, **settings):
    """The outputs of one training step, and the parameters after its updates."""
    mode = Mode(training=True, updates={}, **settings)
    y = layer(params, x, mode).numpy()
    return y, {name: mode.updates.get(id(leaf), leaf) for name, leaf in params.items()}


@pytest.mark.parametrize("shape", [(50, 3), (6, 3, 4, 5)], ids=str)
def test_a_batch_comes_out_with_mean_shift_and_deviation_scale(shape):
    rng = np.random.default_rng(0)
    x = rng.normal(5, 3, shape)
    params = BatchNorm(epsilon=1e-12).init(shape[1:], seed=0, dtype=np.float64)
    params |= {"scale": np.array([1.0, 2.0, 0.5]), "shift": np.array([0.0, -1.0, 7.0])}
    y, _ = train(BatchNorm(epsilon=1e-12), params, x)
    axes = (0, *range(2, x.ndim))
    np.testing.assert_allclose(y.mean(axes), params["shift"], atol=1e-12)
    np.testing.assert_allclose(y.std(axes), params["scale"], rtol=1e-12)


def test_running_averages_follow_the_recursion_and_serve_in_evaluation():
    rng = np.random.default_rng(1)
    layer, batches = BatchNorm(momentum=0.25), rng.normal(2, 3, (30, 16, 2))
    params = layer.init((2,), seed=0, dtype=np.float64)
    mean, var = np.zeros(2), np.ones(2)
    for batch in batches:
        before = {name: leaf.copy() for name, leaf in params.items()}
        old = dict(params)
        _, params = train(layer, params, batch)
        for name, leaf in old.items():
            np.testing.assert_array_equal(leaf, before[name])  # never in place
        mean = 0.75 * mean + 0.25 * batch.mean(0)
        var = 0.75 * var + 0.25 * ((batch - batch.mean(0)) ** 2).sum(0) / 15
    np.testing.assert_allclose(params["running_mean"], mean, rtol=1e-13)
    np.testing.assert_allclose(params["running_var"], var, rtol=1e-13)
    x = rng.normal(size=(1, 2))  # one sample is no batch, and needs none
    np.testing.assert_allclose(layer(params, x).numpy(), (x - mean) / np.sqrt(var + 1e-5), rtol=1e-13)


def test_evaluation_updates_nothing():
    layer, mode = BatchNorm(), Mode(updates={})
    layer(layer.init((2,), seed=0), np.ones((4, 2), np.float32), mode)
    assert mode.updates == {}


def test_no_gradient_reaches_the_running_averages():
    layer = BatchNorm()
    x = np.random.default_rng(0).normal(size=(5, 2))
    for mode in (Mode(training=True), EVALUATION):
        params = {
            name: Tensor(leaf, requires_grad=True) for name, leaf in layer.init((2,), seed=0, dtype=float).items()
        }
        (layer(params, x, mode) ** 2).sum().backward()
        assert [name for name, leaf in params.items() if leaf.grad is None] == ["running_mean", "running_var"]


def test_gradients_of_a_normalised_network_are_those_of_central_differences():
    network = Sequential(Linear(4), BatchNorm(), td.nn.Tanh(), Linear(3), LayerNorm(), Linear(2))
    rng = np.random.default_rng(0)
    params = network.init((3,), seed=0, dtype=np.float64)
    weight = rng.normal(size=(6, 2))
    mode = Mode(training=True)
    paths = [path for path, _ in leaves(params) if "running" not in path]

    def loss(x, *arrays):
        made = dict(leaves(params)) | dict(zip(paths, arrays, strict=True))
        tree = {}
        for path, leaf in made.items():
            layer, name = path.split(".")
            tree.setdefault(layer, {})[name] = leaf
        return (network(tree, x, mode) * weight).sum()

    arrays = [rng.normal(1, 0.3, leaf.shape) for path, leaf in leaves(params) if path in paths]
    td.check_gradients(loss, rng.normal(size=(6, 3)), *arrays)


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1, 1), (0, 3)], ids=str)
def test_one_value_a_channel_has_no_variance(shape):
    layer = Sequential(BatchNorm())
    params = layer.init(shape[1:], seed=0)
    x = np.ones(shape, np.float32)
    with pytest.raises(ShapeError) as refused:
        layer(params, x, Mode(training=True))
    for part in ("layer batch_norm1", "more than one value per channel", str(shape), "last batch of one sample"):
        assert part in str(refused.value)
    assert layer(params, x).shape == shape


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normalisation_at_a_large_mean_and_a_small_deviation(dtype):
    x = np.random.default_rng(0).normal(1e4, 1e-2, (64, 2)).astype(dtype)
    layer = BatchNorm(epsilon=1e-12)
    y, after = train(layer, layer.init((2,), seed=0, dtype=dtype), x)
    wide = x.astype(np.longdouble)
    np.testing.assert_allclose(y, (wide - wide.mean(0)) / wide.std(0), atol=1e-5)
    np.testing.assert_allclose(after["running_var"], 0.9 + 0.1 * wide.var(0, ddof=1), rtol=1e-6)
    assert {leaf.dtype for leaf in after.values()} == {np.dtype(dtype)}


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4, 5)], ids=str)
def test_layer_normalisation_is_a_matter_of_each_sample(shape):
    rng = np.random.default_rng(0)
    x = rng.normal(-3, 2, shape)
    params = {"scale": rng.normal(size=shape[1:]), "shift": rng.normal(size=shape[1:])}
    layer = LayerNorm()
    expected = [(row - row.mean()) / np.sqrt(row.var() + 1e-5) * params["scale"] + params["shift"] for row in x]
    np.testing.assert_allclose(layer(params, x).numpy(), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(layer(params, x).numpy(), layer(params, x, Mode(training=True)).numpy())


@pytest.mark.parametrize("layer", [BatchNorm(), LayerNorm()], ids=str)
@pytest.mark.parametrize("shape", [(2, 3), (), (1, 2, 3, 4)], ids=str)
def test_normalisation_takes_features_and_images(layer, shape):
    with pytest.raises(ShapeError, match=r"\(features,\) or \(channels, height, width\), found"):
        layer.output_shape(shape)


# Dropout -------------------------------------------------------------------------------------------------------


def dropped(key, path="", rate=0.4, shape=(100, 100)):
    return Dropout(rate)({}, np.ones(shape), Mode(training=True, key=np.array(key, np.uint64), path=path)).numpy()


def test_dropout_keeps_the_mean_and_drops_the_rate():
    y = dropped(7)
    assert set(np.unique(y)) == {0, 1 / 0.6}
    assert stats.binomtest(int((y == 0).sum()), y.size, 0.4).pvalue > 1e-3
    assert y.mean() == pytest.approx(1, abs=5 * np.sqrt(0.4 / 0.6 / y.size))


def test_dropout_follows_key_and_path_alone():
    np.testing.assert_array_equal(dropped(7, "a.dropout1"), dropped(7, "a.dropout1"))
    for other in (dropped(8, "a.dropout1"), dropped(7, "a.dropout2")):
        shared = int(((other > 0) == (dropped(7, "a.dropout1") > 0)).sum())
        assert stats.binomtest(shared, 10**4, 0.6**2 + 0.4**2).pvalue > 1e-4
    expected = td.ops.dropout_mask(7, salt=zlib.crc32(b"dropout1"), shape=(2, 5), rate=0.4, dtype=float).numpy()
    mode = Mode(training=True, key=np.uint64(7))
    np.testing.assert_array_equal(Sequential(Dropout(0.4))({}, np.ones((2, 5)), mode).numpy(), expected)


def test_gradients_pass_where_values_do():
    x = td.tensor(np.full((4, 5), 3.0), requires_grad=True)
    y = Dropout(0.5)({}, x, Mode(training=True, key=np.uint64(1)))
    y.sum().backward()
    np.testing.assert_array_equal(y.numpy(), 3 * x.grad)
    assert set(np.unique(x.grad)) == {0, 2}


def test_dropout_rests_in_evaluation_and_at_rate_0():
    x = np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_array_equal(Dropout(0.9)({}, x).numpy(), x)
    np.testing.assert_array_equal(Dropout(0)({}, x, Mode(training=True)).numpy(), x)
    np.testing.assert_array_equal(Dropout(1)({}, x, Mode(training=True, key=np.uint64(0))).numpy(), 0 * x)


def test_dropout_keeps_float32():
    y = Dropout(0.3)({}, np.ones((2, 3), np.float32), Mode(training=True, key=np.uint64(0)))
    assert y.dtype == np.float32


def test_training_without_a_key_is_an_error():
    with pytest.raises(TreadleError, match=r"Dropout draws from the key .* give Mode\(training=True, key="):
        Sequential(Dropout(0.5))({}, np.ones((2, 3)), Mode(training=True))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dropout(1.5), "Dropout: rate must be from 0 to 1, found 1.5"),
        (lambda: Dropout(float("nan")), "Dropout: rate must be from 0 to 1, found nan"),
        (lambda: Dropout(True), "Dropout: rate must be from 0 to 1, found True"),
        (lambda: BatchNorm(momentum=-0.1), "BatchNorm: momentum must be from 0 to 1, found -0.1"),
        (lambda: BatchNorm(epsilon=0), "BatchNorm: epsilon must be a positive number, found 0"),
        (lambda: LayerNorm(epsilon=-1), "LayerNorm: epsilon must be a positive number, found -1"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(TreadleError, match=message):
        make()
