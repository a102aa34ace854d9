import copy
import itertools
import math

import mpmath
import numpy as np
import pytest

from treadle.optim import OPTIMIZERS, SGD, AdaGrad, Adam, AdamW, Momentum, Nesterov, RMSProp
from treadle.tree import leaves, tree_map

EXTRAS = {"weight_decay": 0.2, "l1": 0.1, "clip_value": 0.9, "clip_norm": 1.5}
ALL = [make(lr=0.1, **extras) for make in OPTIMIZERS.values() for extras in ({}, EXTRAS)]


def take(optimizer, start, gradient, steps):
    """All points of a descent, the start first."""
    points, state = [start], optimizer.init(start)
    for _ in range(steps):
        point, state = optimizer.step(points[-1], gradient(points[-1]), state)
        points.append(point)
    return points


@pytest.mark.parametrize(
    ("optimizer", "second"),
    [
        (SGD(0.95), (-6.335, -1.8)),
        (Momentum(0.1, momentum=0.9), (-6.93, 1.6)),
        (AdaGrad(1.5), (-5.5, 0.5)),
        (Adam(0.3), (-6.7, 1.7)),
    ],
)
def test_second_points_of_the_course(optimizer, second):
    # f = x²/20 + y² from (−7, 2): gradient (x/10, 2y)
    points = take(optimizer, np.array([-7.0, 2.0]), lambda p: p * np.array([0.1, 2.0]), 30)
    np.testing.assert_allclose(points[1], second, rtol=1e-7)
    assert points[-1][0] ** 2 / 20 + points[-1][1] ** 2 < 2.45 + 4


def test_sgd_on_a_parabola_is_a_geometric_row():
    # g = p: p_t = (1 − lr (1 + decay))^t p_0
    points = take(SGD(0.1, weight_decay=0.5), np.array([3.0]), lambda p: p, 20)
    np.testing.assert_allclose(points, 3 * (1 - 0.1 * 1.5) ** np.arange(21)[:, None], rtol=1e-13)


def test_momentum_under_a_constant_gradient_is_its_closed_form():
    # v_t = g (1 − μ^t) / (1 − μ), p_t = p_0 − lr Σ v
    points = take(Momentum(0.1, momentum=0.8), np.array([1.0]), lambda p: np.array([2.0]), 20)
    velocity = 2 * (1 - 0.8 ** np.arange(1, 21)) / 0.2
    np.testing.assert_allclose(np.ravel(points[1:]), 1 - 0.1 * np.cumsum(velocity), rtol=1e-13)


def test_momentum_without_momentum_is_sgd():
    gradient = lambda p: p**3 - 1  # noqa: E731
    for decay in (0.0, 0.3):
        start = np.array([1.5, -2.0])
        np.testing.assert_array_equal(
            take(Momentum(0.05, 0.0, weight_decay=decay), start, gradient, 10),
            take(SGD(0.05, weight_decay=decay), start, gradient, 10),
        )


def test_adam_under_a_constant_gradient_steps_by_the_learning_rate():
    # m̂ = g and v̂ = g² at every step: p_t = p_0 − t lr g / (|g| + ε)
    gradient = np.array([3.0, -0.02, 1e-8])
    points = take(Adam(0.1), np.zeros(3), lambda p: gradient, 15)
    expected = -np.arange(16)[:, None] * 0.1 * gradient / (np.abs(gradient) + 1e-8)
    np.testing.assert_allclose(points, expected, rtol=1e-12)


def test_adam_in_fifty_digits():
    lr, beta1, beta2, epsilon = (mpmath.mpf(x) for x in (0.05, 0.8, 0.95, 0.1))
    with mpmath.workdps(50):
        p, m, v = mpmath.mpf(2), mpmath.mpf(0), mpmath.mpf(0)
        for t in range(1, 31):
            g = mpmath.cos(p) * t
            m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
            p -= lr * (m / (1 - beta1**t)) / (mpmath.sqrt(v / (1 - beta2**t)) + epsilon)
    step = itertools.count(1)
    found = take(Adam(0.05, 0.8, 0.95, 0.1), np.array([2.0]), lambda p: np.cos(p) * next(step), 30)[-1]
    assert found[0] == pytest.approx(float(p), rel=1e-12)


@pytest.mark.parametrize("optimizer", ALL, ids=repr)
def test_a_step_changes_nothing_it_is_given(optimizer):
    rng = np.random.default_rng(0)
    params = {"a": [rng.normal(size=3), (rng.normal(size=(2, 2)),)], "b": {"c": rng.normal(size=())}}
    grads = tree_map(np.ones_like, params)
    state = optimizer.init(params)
    for _ in range(3):
        kept = copy.deepcopy((params, grads, state))
        new, following = optimizer.step(params, grads, state)
        for now, before in zip(leaves((params, grads, state)), leaves(kept), strict=True):
            assert now[0] == before[0]
            np.testing.assert_array_equal(now[1], before[1])
        assert [path for path, _ in leaves(new)] == ["a.0", "a.1.0", "b.c"]
        assert not any(np.shares_memory(a, b) for (_, a), (_, b) in zip(leaves(new), leaves(params), strict=True))
        again, _ = optimizer.step(params, grads, state)
        for (_, one), (_, other) in zip(leaves(new), leaves(again), strict=True):
            np.testing.assert_array_equal(one, other)
        params, state = new, following


@pytest.mark.parametrize("optimizer", ALL, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parameters_and_state_keep_their_dtype(optimizer, dtype):
    params = {"w": np.ones((3, 2), dtype), "b": np.ones((), dtype)}
    state = optimizer.init(params)
    for _ in range(3):
        params, state = optimizer.step(params, tree_map(np.ones_like, params), state)
    for path, leaf in [*leaves(params), *leaves(state)]:
        assert path == "step" or leaf.dtype == dtype


@pytest.mark.parametrize("make", [make for make in OPTIMIZERS.values() if make is not AdamW])
def test_a_gradient_of_zero_leaves_the_parameters(make):
    start = np.array([1.0, -2.0, 0.0])
    np.testing.assert_array_equal(take(make(lr=0.1), start, np.zeros_like, 5), [start] * 6)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("size", [1e30, 1e-30])
def test_first_steps_on_gradients_far_out(size, sign):
    gradient = np.array([sign * size])
    for optimizer in (SGD(0.1), Momentum(0.1)):
        np.testing.assert_allclose(take(optimizer, np.zeros(1), lambda p: gradient, 1)[1], -0.1 * gradient, rtol=1e-15)
    expected = -0.1 * gradient / (size + 1e-8)
    np.testing.assert_allclose(take(Adam(0.1), np.zeros(1), lambda p: gradient, 1)[1], expected, rtol=1e-12)


def test_adam_in_float32_where_the_square_of_a_gradient_leaves_the_range():
    # 1e30² is no float32: the square is ∞, the step 0, as in PyTorch; (1e−30)² is 0, and epsilon alone divides
    with np.errstate(over="ignore"):
        points = take(Adam(0.1), np.ones(1, np.float32), lambda p: np.float32([1e30]), 3)
    np.testing.assert_array_equal(points, np.ones((4, 1)))
    points = take(Adam(0.1), np.zeros(1, np.float32), lambda p: np.float32([1e-30]), 1)
    np.testing.assert_allclose(points[1], [-0.1 * 1e-30 / 1e-8], rtol=1e-6)


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("lr", [-0.1, -1e-300, math.nan, math.inf])
def test_a_learning_rate_below_0_or_not_finite_is_refused(make, lr):
    with pytest.raises(ValueError, match=f"{make.__name__}: lr must be at least 0"):
        make(lr=lr)
    assert make(lr=0).lr == 0


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (SGD, "weight_decay", -1e-9),
        (SGD, "weight_decay", math.inf),
        (Momentum, "momentum", 1.0),
        (Momentum, "momentum", -0.1),
        (Momentum, "weight_decay", math.nan),
        (Adam, "beta1", 1.0),
        (Adam, "beta1", -0.1),
        (Adam, "beta2", 1.0),
        (Adam, "beta2", math.nan),
    ],
)
def test_settings_out_of_range_are_refused(make, name, value):
    with pytest.raises(ValueError, match=f"{make.__name__}: {name} must be at least 0 and below .*, found {value}"):
        make(lr=0.1, **{name: value})


@pytest.mark.parametrize("epsilon", [0, -1e-8])
def test_epsilon_must_be_above_0(epsilon):
    with pytest.raises(ValueError, match=f"Adam: epsilon must be above 0 and below inf, found {epsilon}"):
        Adam(epsilon=epsilon)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values())
def test_numpy_settings_do_not_promote(optimizer):
    params = {"w": np.ones(3, np.float32)}
    made = optimizer(lr=np.float64(0.1))
    after, state = made.step(params, params, made.init(params))
    assert after["w"].dtype == np.float32
    assert made == optimizer(lr=0.1)
    assert len([leaf for _, leaf in leaves(state) if np.ndim(leaf)]) == optimizer.slots


@pytest.mark.parametrize("value", ["0.1", None, True, [0.1]])
def test_settings_that_are_no_numbers_are_refused(value):
    with pytest.raises(ValueError, match="SGD: lr must be a number, found"):
        SGD(lr=value)


@pytest.mark.parametrize("optimizer", ALL, ids=repr)
def test_a_missing_gradient_is_an_error(optimizer):
    params = {"a": np.ones(2), "b": np.ones(2)}
    with pytest.raises(ValueError, match="trees differ in form"):
        optimizer.step(params, {"a": np.ones(2)}, optimizer.init(params))


def test_optimisers_go_by_these_names():
    assert list(OPTIMIZERS) == ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"]


def test_nesterov_under_a_constant_gradient_is_its_closed_form():
    # v_t = g (1 − μ^t) / (1 − μ), p_t = p_0 − lr Σ (g + μ v)
    points = take(Nesterov(0.1, momentum=0.8), np.array([1.0]), lambda p: np.array([2.0]), 20)
    velocity = 2 * (1 - 0.8 ** np.arange(1, 21)) / 0.2
    np.testing.assert_allclose(np.ravel(points[1:]), 1 - 0.1 * np.cumsum(2 + 0.8 * velocity), rtol=1e-13)


def test_adagrad_under_a_constant_gradient_shrinks_its_steps_by_the_root_of_their_number():
    points = take(AdaGrad(0.3, epsilon=1e-300), np.zeros(1), lambda p: np.array([-5.0]), 20)
    np.testing.assert_allclose(np.ravel(points[1:]), 0.3 * np.cumsum(1 / np.sqrt(np.arange(1, 21))), rtol=1e-13)


def test_rmsprop_under_a_constant_gradient_is_its_closed_form():
    # s_t = g² (1 − β^t)
    points = take(RMSProp(0.3, beta=0.7, epsilon=1e-300), np.zeros(1), lambda p: np.array([-5.0]), 20)
    np.testing.assert_allclose(
        np.ravel(points[1:]), 0.3 * np.cumsum(1 / np.sqrt(1 - 0.7 ** np.arange(1, 21))), rtol=1e-13
    )


def test_decoupled_decay_without_a_gradient_is_a_geometric_row_and_coupled_decay_is_a_gradient():
    points = take(AdamW(0.1, weight_decay=0.5), np.array([3.0]), np.zeros_like, 10)
    np.testing.assert_allclose(np.ravel(points), 3 * 0.95 ** np.arange(11), rtol=1e-13)
    points = take(Adam(0.1, weight_decay=0.5), np.array([3.0]), np.zeros_like, 1)
    np.testing.assert_allclose(points[1], [2.9], rtol=1e-7)  # Adam steps by lr whatever the size of its gradient


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_gradients_are_clipped_by_value_then_by_norm_then_penalised(make):
    params = {"a": np.array([1.0, -2.0]), "b": [np.array([[0.0]])]}
    grads = {"a": np.array([3.0, -0.5]), "b": [np.array([[-9.0]])]}
    extras = {"weight_decay": 0.25, "l1": 0.5, "clip_value": 2.0, "clip_norm": 1.0}
    optimizer = make(lr=0.1, **extras)
    norm = math.sqrt(2**2 + 0.5**2 + 2**2)
    decay = 0 if make is AdamW else 0.25
    wanted = {
        "a": np.array([2, -0.5]) / norm + decay * params["a"] + [0.5, -0.5],
        "b": [np.array([[-2]]) / norm],
    }
    found = optimizer.regularized(params, grads)
    for (path, one), (_, other) in zip(leaves(found), leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-14, err_msg=path)
    # the rule gets that gradient and nothing else
    bare = make(lr=0.1, weight_decay=0.25) if make is AdamW else make(lr=0.1)
    new, _ = optimizer.step(params, grads, optimizer.init(params))
    plain, _ = bare.step(params, wanted, bare.init(params))
    for (_, one), (_, other) in zip(leaves(new), leaves(plain), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_the_norm_neither_overflows_nor_underflows(size, dtype):
    params = np.zeros(2, dtype)
    found = SGD(1.0, clip_norm=size / 2).regularized(params, np.array([3, 4], dtype) * dtype(size))
    np.testing.assert_allclose(found, np.array([0.3, 0.4]) * size, rtol=1e-6)
    assert found.dtype == dtype


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize(
    ("name", "value"),
    [("weight_decay", -0.1), ("l1", math.inf), ("clip_value", 0), ("clip_norm", -1), ("clip_norm", math.nan)],
)
def test_penalties_and_limits_out_of_range_are_refused(make, name, value):
    with pytest.raises(ValueError, match=f"{make.__name__}: {name} must be"):
        make(lr=0.1, **{name: value})


@pytest.mark.parametrize(
    ("optimizer", "lines"),
    [
        (SGD(0.1), ["p ← p − 0.1 g"]),
        (
            Nesterov(0.1, clip_value=2, clip_norm=1, weight_decay=0.01, l1=0.5),
            [
                "g ← min(max(g, −2), 2)",
                "g ← g · min(1, 1 / ‖g‖)",
                "g ← g + 0.01 p + 0.5 sign(p)",
                "v ← 0.9 v + g",
                "p ← p − 0.1 (g + 0.9 v)",
            ],
        ),
        (AdaGrad(0.1), ["s ← s + g²", "p ← p − 0.1 g / (√s + 1e-10)"]),
        (RMSProp(0.1), ["s ← 0.9 s + 0.1 g²", "p ← p − 0.1 g / (√s + 1e-08)"]),
        (
            AdamW(0.1),
            [
                "p ← (1 − 0.1 · 0.01) p",
                "m ← 0.9 m + 0.1 g",
                "v ← 0.999 v + 0.001 g²",
                "p ← p − 0.1 (m / (1 − 0.9ᵗ)) / (√(v / (1 − 0.999ᵗ)) + 1e-08)",
            ],
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_optimiser_prints_its_rule(optimizer, lines):
    assert optimizer.rule().splitlines() == lines


def test_the_same_rule_with_another_learning_rate():
    assert Adam(0.1, 0.8, l1=0.1).with_lr(0.5) == Adam(0.5, 0.8, l1=0.1)
