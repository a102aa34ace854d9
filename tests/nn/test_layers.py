import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import treadle as td
from treadle.errors import ShapeError
from treadle.nn import (
    GELU,
    INITIALIZERS,
    LAYERS,
    MODELS,
    Conv2d,
    Flatten,
    LeakyReLU,
    Linear,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from treadle.tree import leaves


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 6), st.booleans(), st.integers(0, 2**32))
def test_linear_computes_and_differentiates_as_numpy(samples, inputs, units, bias, seed):
    rng = np.random.default_rng(seed)
    layer, x, arriving = Linear(units, bias=bias), rng.normal(size=(samples, inputs)), rng.normal(size=(samples, units))
    params = layer.init((inputs,), seed=0, dtype=np.float64)
    if bias:
        params["bias"] = rng.normal(size=units)
    expected = np.einsum("ni,iu->nu", x, params["weight"]) + (params["bias"] if bias else 0)
    np.testing.assert_allclose(layer(params, x).numpy(), expected, rtol=1e-12, atol=1e-12)

    value, grads = td.value_and_grad(lambda p: (layer(p, x) * arriving).sum())(params)
    np.testing.assert_allclose(value, (expected * arriving).sum(), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(grads["weight"], np.einsum("ni,nu->iu", x, arriving), rtol=1e-12, atol=1e-12)
    assert list(grads) == (["weight", "bias"] if bias else ["weight"])
    if bias:
        np.testing.assert_allclose(grads["bias"], np.einsum("nu->u", arriving), rtol=1e-12, atol=1e-12)


def test_the_gradient_of_a_network_is_that_of_central_differences():
    network = Sequential(Flatten(), Linear(4), Sigmoid(), Linear(3), Tanh(), Linear(3), Softmax())
    params = network.init((2, 2), seed=0, dtype=np.float64)
    x = np.random.default_rng(1).normal(size=(5, 2, 2))
    weight = np.random.default_rng(2).normal(size=(5, 3))

    def value():
        return float((network(params, x) * weight).sum())

    _, grads = td.value_and_grad(lambda p: (network(p, x) * weight).sum())(params)
    for (_, leaf), (_, gradient) in zip(leaves(params), leaves(grads), strict=True):
        for place in np.ndindex(leaf.shape):
            kept = leaf[place]
            leaf[place] = kept + 1e-5
            above = value()
            leaf[place] = kept - 1e-5
            below = value()
            leaf[place] = kept
            assert gradient[place] == pytest.approx((above - below) / 2e-5, abs=1e-9)


@pytest.mark.parametrize(
    ("layer", "function"),
    [
        (Sigmoid(), lambda x: 1 / (1 + np.exp(-x))),
        (ReLU(), lambda x: x * (x > 0)),
        (Tanh(), lambda x: (np.exp(2 * x) - 1) / (np.exp(2 * x) + 1)),
        (LeakyReLU(0.2), lambda x: x * (x > 0) + 0.2 * x * (x < 0)),
        (GELU(), lambda x: x * stats.norm.cdf(x)),
        (SiLU(), lambda x: x / (1 + np.exp(-x))),
        (Softplus(), lambda x: np.log(1 + np.exp(x))),
        (Softmax(), lambda x: np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)),
    ],
)
def test_activations_have_no_parameters_and_keep_shapes(layer, function):
    x = np.random.default_rng(0).normal(size=(4, 3, 2))
    assert layer.init((3, 2), seed=0) == {}
    assert layer.output_shape((3, 2)) == (3, 2)
    np.testing.assert_allclose(layer({}, x).numpy(), function(x), rtol=1e-13)


def test_softmax_of_the_course():
    found = Softmax()({}, np.array([[3.0, 1.0, -3.0]])).numpy()
    np.testing.assert_allclose(found, [[0.87888, 0.11894, 0.00218]], atol=5e-6)


def test_flatten_keeps_samples_apart_in_row_order():
    x = np.arange(24).reshape(2, 1, 3, 4)
    np.testing.assert_array_equal(Flatten()({}, x).numpy(), [np.arange(12), np.arange(12, 24)])
    assert Flatten()({}, np.ones((0, 3, 4))).shape == (0, 12)
    assert Flatten()({}, np.ones((5,))).shape == (5, 1)


@pytest.mark.parametrize("units", [0, -3, 1.5, True, "10", None])
def test_units_must_be_a_positive_whole_number(units):
    with pytest.raises(ValueError, match="units must be a positive whole number") as refused:
        Linear(units)
    assert repr(units) in str(refused.value)


def test_an_unknown_initialiser_is_refused_with_all_there_are():
    with pytest.raises(ValueError, match="no initialiser 'xavier'") as refused:
        Linear(10, weight_init="xavier")
    assert all(name in str(refused.value) for name in INITIALIZERS)


# fan in 300, fan out 200: limit of the uniform ones, deviation of all
FORMULAS = {
    "zeros": (0.0, 0.0),
    "xavier_uniform": (np.sqrt(6 / 500), np.sqrt(2 / 500)),
    "xavier_normal": (None, np.sqrt(2 / 500)),
    "he_uniform": (np.sqrt(6 / 300), np.sqrt(2 / 300)),
    "he_normal": (None, np.sqrt(2 / 300)),
}


@pytest.mark.parametrize(
    ("layer", "shape", "matrix"),
    [
        (Linear(5), (8,), (8, 5)),
        (Linear(8), (5,), (5, 8)),
        (Linear(6), (6,), (6, 6)),
        (Conv2d(4, (3, 2)), (2, 5, 5), (4, 12)),
        (Conv2d(30, 2, groups=2), (4, 5, 5), (30, 8)),
    ],
    ids=str,
)
def test_orthogonal_weights_have_orthonormal_rows_or_columns(layer, shape, matrix):
    made = type(layer)(**{**vars(layer), "weight_init": "orthogonal"}).init(shape, seed=1, dtype=np.float64)["weight"]
    weight = made.reshape(matrix)
    product = weight.T @ weight if matrix[0] >= matrix[1] else weight @ weight.T
    np.testing.assert_allclose(product, np.eye(min(matrix)), atol=1e-14)


def test_orthogonal_matrices_are_uniform():
    """Each entry of a uniform orthogonal 2×2 matrix is the cosine of a uniform angle, and its determinant is ±1."""
    made = [Linear(2, weight_init="orthogonal").init((2,), seed=n, dtype=float)["weight"] for n in range(2000)]
    for place in np.ndindex(2, 2):
        angles = np.arccos(np.clip([weight[place] for weight in made], -1, 1)) / np.pi
        assert stats.kstest(angles, "uniform").pvalue > 1e-3
    assert stats.binomtest(int(sum(np.linalg.det(weight) > 0 for weight in made)), 2000).pvalue > 1e-3


@pytest.mark.parametrize("name", FORMULAS)
def test_initialisers_follow_their_formulas(name):
    limit, deviation = FORMULAS[name]
    weight = Linear(200, weight_init=name).init((300,), seed=7, dtype=np.float64)["weight"]
    size = weight.size
    # 5 standard errors of mean and deviation (the deviation of a uniform sample varies less than that of a normal one)
    assert abs(weight.mean()) <= 5 * deviation / np.sqrt(size)
    assert abs(weight.std() - deviation) <= 5 * deviation / np.sqrt(2 * size)
    if limit is not None:
        assert np.abs(weight).max() <= limit
        assert np.abs(weight).max() >= 0.999 * limit
    else:
        assert np.abs(weight).max() > 3.5 * deviation
    assert abs(np.mean(weight[:, ::2] * weight[:, 1::2])) <= 5 * deviation**2 / np.sqrt(size / 2)


def test_layers_and_presets_go_by_these_names():
    assert set(LAYERS) == {
        "flatten", "linear", "conv2d", "max_pool2d", "avg_pool2d", "global_avg_pool2d", "batch_norm", "layer_norm",
        "dropout", "sigmoid", "tanh", "relu", "leaky_relu", "gelu", "silu", "softplus", "softmax",
    }  # fmt: skip
    assert list(MODELS) == [
        "baseline", "softmax", "mlp", "mlp_relu", "mlp_tabular", "lenet", "vgg_small", "resnet_small",
    ]  # fmt: skip
    assert set(INITIALIZERS) == {*FORMULAS, "orthogonal"}


RESNET = sum(
    (
        9 * 16 * 1 + 4 * 16,  # the first convolution, and four numbers a channel for its batch normalisation
        4 * (9 * 16 * 16 + 4 * 16),  # two blocks of two convolutions
        9 * 16 * 32 + 3 * 9 * 32 * 32 + 16 * 32 + 5 * 4 * 32,  # two blocks, the first with a shortcut
        9 * 32 * 64 + 3 * 9 * 64 * 64 + 32 * 64 + 5 * 4 * 64,
        65 * 10,
    )
)


@pytest.mark.parametrize(
    ("name", "outputs", "parameters"),
    [
        ("baseline", 1, 785),
        ("softmax", 10, 785 * 10),
        ("mlp", 1, 7850 + 110 + 11),
        ("mlp", 10, 7850 + 110 + 110),
        ("mlp_relu", 10, 785 * 100 + 101 * 10),
        ("mlp_tabular", 10, 785 * 128 + 2 * 128 + 129 * 128 + 2 * 128 + 129 * 10),
        ("lenet", 10, 26 * 20 + 501 * 20 + 981 * 10),
        ("vgg_small", 10, 10 * 32 + 289 * 32 + 289 * 64 + 577 * 64 + (49 * 64 + 1) * 128 + 129 * 10),
        ("resnet_small", 10, RESNET),
    ],
)
def test_presets(name, outputs, parameters):
    network = MODELS[name](outputs)
    assert network.output_shape((1, 28, 28)) == (outputs,)
    assert td.summary(network, (1, 28, 28)).parameters == parameters


def test_the_baseline_refuses_more_than_one_output():
    with pytest.raises(ShapeError, match="one output and this loss needs 10: take the preset 'softmax'"):
        MODELS["baseline"](10)
