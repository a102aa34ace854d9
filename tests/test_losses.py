from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import treadle as td
from small_sets import line, three_classes
from treadle import kernels
from treadle.errors import DtypeError, LossError
from treadle.losses import LOSSES, AbsoluteError, BinaryCrossEntropy, CrossEntropy, Huber, SquaredError

NUMBERS = [(SquaredError(), "squared error"), (SquaredError(halved=True), "squared error")]
NUMBERS += [(AbsoluteError(), "absolute error"), (Huber(), "Huber's loss")]


def value_and_gradient(loss, outputs, targets):
    outputs = td.tensor(outputs, requires_grad=True)
    value = loss(outputs, np.asarray(targets))
    value.backward()
    return value.item(), outputs.grad


def one_hot(labels, classes):
    return np.eye(classes)[labels]


@given(st.integers(1, 9), st.integers(1, 4), st.integers(0, 2**32))
def test_squared_and_absolute_error_are_their_closed_forms(samples, outputs, seed):
    rng = np.random.default_rng(seed)
    z, y = rng.normal(size=(2, samples, outputs)) * 10
    y.flat[0] = z.flat[0]
    n = z.size
    for loss, value, gradient in (
        (SquaredError(), sum((z - y).ravel() ** 2) / n, 2 * (z - y) / n),
        (SquaredError(halved=True), sum((z - y).ravel() ** 2) / n / 2, (z - y) / n),
        (AbsoluteError(), sum(abs(z - y).ravel()) / n, np.sign(z - y) / n),
    ):
        found, by_outputs = value_and_gradient(loss, z, y)
        assert found == pytest.approx(value, rel=1e-12)
        np.testing.assert_allclose(by_outputs, gradient, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("halved", [False, True])
def test_the_derivation_of_the_course(halved):
    # 404 rows of 13 features scaled to 0–1, weights from seed 0, b = 0:
    # ∂L/∂w = (1/N) Σ (z − y) x, ∂L/∂b = (1/N) Σ (z − y)
    rng = np.random.default_rng(1)
    x = rng.gamma(2.0, size=(404, 13))
    x = (x - x.min(axis=0)) / (x.max(axis=0) - x.min(axis=0))
    y = rng.normal(size=(404, 1))
    params = {"weight": np.random.RandomState(0).randn(13, 1), "bias": np.zeros(1)}
    loss, layer = SquaredError(halved=halved), td.nn.Linear(1)

    value, grads = td.value_and_grad(lambda p: loss(layer(p, x), y))(params)
    z = x @ params["weight"]
    times = 1 if halved else 2
    assert float(value) == pytest.approx(times / 2 * np.mean((y - z) ** 2), rel=1e-13)
    np.testing.assert_allclose(grads["weight"], times * np.mean((z - y) * x, axis=0)[:, None], rtol=1e-11)
    np.testing.assert_allclose(grads["bias"], [times * np.mean(z - y)], rtol=1e-11)

    # and it is the gradient of exactly this loss
    for name, leaf in params.items():
        for place in np.ndindex(leaf.shape):
            ends = []
            for step in (1e-4, -1e-4):
                moved = {key: array.copy() for key, array in params.items()}
                moved[name][place] += step
                ends.append(loss(layer(moved, x), y).item())
            assert grads[name][place] == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=1e-8, abs=1e-10)


@pytest.mark.parametrize(("loss", "name"), NUMBERS)
def test_a_row_of_targets_against_a_column_of_predictions_is_an_error(loss, name):
    with pytest.raises(LossError) as refused:
        loss(td.tensor(np.zeros((4, 1))), np.zeros(4))
    for part in (name, "(4, 1)", "(4,)", "4×4", "targets[:, None]"):
        assert part in str(refused.value)


@pytest.mark.parametrize(("loss", "name"), NUMBERS)
@pytest.mark.parametrize("shapes", [((4,), (4, 1)), ((4, 2), (4, 1)), ((4, 1), (1, 1)), ((4, 1), ()), ((4, 1), (3, 1))])
def test_no_loss_broadcasts(loss, name, shapes):
    with pytest.raises(LossError, match="predictions have shape"):
        loss(td.tensor(np.zeros(shapes[0])), np.zeros(shapes[1]))


def test_numbers_of_another_dtype_are_refused():
    with pytest.raises(DtypeError, match="float32 and float64"):
        SquaredError()(td.tensor(np.zeros((2, 1), np.float32)), np.zeros((2, 1)))


@given(st.integers(1, 9), st.integers(2, 6), st.integers(0, 2**32))
def test_cross_entropy_is_its_closed_form_for_labels_and_one_hot_rows(samples, classes, seed):
    rng = np.random.default_rng(seed)
    scores, labels = rng.normal(size=(samples, classes)) * 5, rng.integers(0, classes, samples)
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    expected = np.mean([-np.log(p[i, label]) for i, label in enumerate(labels)])
    t = one_hot(labels, classes)
    for targets in (labels, labels.astype(np.uint8), t, t.astype(np.float32), t.astype(int), t.astype(bool)):
        value, gradient = value_and_gradient(CrossEntropy(), scores, targets)
        assert value == pytest.approx(expected, rel=1e-11)
        np.testing.assert_allclose(gradient, (p - t) / samples, rtol=1e-10, atol=1e-14)
        value, gradient = value_and_gradient(CrossEntropy(from_probabilities=True), p, targets)
        assert value == pytest.approx(expected, rel=1e-11)
        np.testing.assert_allclose(gradient, -t / p / samples, rtol=1e-11)


def test_numbers_of_the_course():
    loss = CrossEntropy(from_probabilities=True)
    assert round(loss(td.tensor([[0.6, 0.4]]), np.array([0])).item(), 2) == 0.51
    assert round(loss(td.tensor([[0.1, 0.9]]), np.array([0])).item(), 2) == 2.30
    scores = td.tensor([[3.0, 1.0, -3.0]])
    np.testing.assert_allclose(CrossEntropy().predict(scores).numpy(), [[0.87888, 0.11894, 0.00218]], atol=5e-6)
    found = [CrossEntropy()(scores, np.array([label])).item() for label in range(3)]
    exact = [mpmath.log(sum(mpmath.exp(s) for s in (3, 1, -3))) - s for s in (3, 1, -3)]
    np.testing.assert_allclose(found, [float(e) for e in exact], rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("scores", "losses", "probabilities"),
    [
        ([1e4, -1e4, 0.0], [0.0, 2e4, 1e4], [1, 0, 0]),
        ([-1e4, -1e4, -1e4], [np.log(3)] * 3, [1 / 3] * 3),
        ([1e4, 1e4, 1e4], [np.log(3)] * 3, [1 / 3] * 3),
        ([-np.inf, 0.0, 0.0], [np.inf, np.log(2), np.log(2)], [0, 0.5, 0.5]),
    ],
)
def test_cross_entropy_far_out(scores, losses, probabilities, dtype):
    for label in range(3):
        value, gradient = value_and_gradient(CrossEntropy(), np.array([scores], dtype), [label])
        assert value == pytest.approx(losses[label], rel=1e-6)
        np.testing.assert_allclose(gradient, [np.array(probabilities) - np.eye(3)[label]], rtol=1e-6)
        assert gradient.dtype == dtype


@pytest.mark.parametrize("scores", [[-np.inf] * 3, [np.inf, 0, 0], [np.nan, 0, 0]])
def test_scores_without_a_softmax_give_no_number(scores):
    assert np.isnan(CrossEntropy()(td.tensor([scores]), np.array([0])).item())


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 1, 3]), "row 2 has label 3, expected 0 to 2"),
        (np.array([0, -1, 5]), "row 1 has label -1, expected 0 to 2"),
        (np.array([0.0, 1.0, 2.0]), "labels must be integers, found float64"),
        (np.array([True, False, True]), "labels must be integers, found bool"),
        (
            np.array([0, 1]),
            r"expected labels of shape \(3,\), or rows \(3, 3\) that are one-hot or distributions, found \(2,\)",
        ),
        (np.array([[0], [1], [2]]), r"or rows \(3, 3\) that are one-hot or distributions, found \(3, 1\)"),
        (
            np.array([[1, 0, 0], [0, 0.5, 0.6], [0, 0, 1]]),
            r"row 1 of the targets is no distribution: \[0.0, 0.5, 0.6\]",
        ),
        (
            np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]]),
            r"row 2 of the targets is no distribution: \[0, 0, 0\]",
        ),
        (
            np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0]]),
            r"row 1 of the targets is no distribution: \[0, 1, 1\]",
        ),
        (np.array([[2, -1, 0], [0, 1, 0], [0, 0, 1]]), "row 0 of the targets is no distribution"),
        (np.array([[1, 0, 0], [0, np.nan, 0], [0, 0, 1]]), "row 1 of the targets is no distribution"),
    ],
)
@pytest.mark.parametrize("from_probabilities", [False, True])
def test_targets_that_are_no_classes_are_refused(labels, message, from_probabilities):
    with pytest.raises(LossError, match=message):
        CrossEntropy(from_probabilities)(td.tensor(np.full((3, 3), 1 / 3)), labels)


def test_one_output_is_no_score_for_each_class():
    with pytest.raises(LossError, match="the network has 1 output"):
        CrossEntropy()(td.tensor(np.zeros((3, 1))), np.zeros(3, int))
    with pytest.raises(LossError, match=r"scores of shape \(N, classes\), found \(3,\)"):
        CrossEntropy()(td.tensor(np.zeros(3)), np.zeros(3, int))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.9, 0.3], r"row 1 is not a distribution, it sums to 1.2 with values from 0.3 to 0.9"),
        ([0.2, 0.3], "row 1 is not a distribution, it sums to 0.5"),
        ([1.2, -0.2], "row 1 is not a distribution, it sums to 1 with values from -0.2 to 1.2"),
        ([0.0, 0.0], "row 1 is not a distribution, it sums to 0"),
    ],
)
def test_probabilities_must_be_some(row, message):
    with pytest.raises(LossError, match=message):
        CrossEntropy(from_probabilities=True)(td.tensor([[0.5, 0.5], row]), np.array([0, 0]))


def test_probabilities_0_and_1():
    loss = CrossEntropy(from_probabilities=True)
    assert loss(td.tensor([[1.0, 0.0]]), np.array([0])).item() == 0
    assert loss(td.tensor([[1.0, 0.0]]), np.array([1])).item() == np.inf
    assert loss(td.tensor([[1.0, 0.0], [0.5, 0.5]]), np.array([1, 0])).item() == np.inf


class Ends(td.nn.Module):
    """A user's network that ends with the op softmax."""

    def parameters(self, shape):
        return {"linear": td.nn.Linear(10).parameters(shape)}

    def output_shape(self, shape):
        return td.nn.Linear(10).output_shape(shape)

    def forward(self, params, x, mode):
        return td.ops.softmax(td.nn.Linear(10).forward(params["linear"], x, mode), axis=1)


@pytest.mark.parametrize("network", [td.nn.Sequential(td.nn.Linear(10), td.nn.Softmax()), Ends()])
def test_softmax_twice_is_found_before_training(network):
    rng = np.random.default_rng(0)
    rows = td.data.Dataset(rng.uniform(size=(30, 4)), np.arange(30) % 10, tuple("abcdefghij"), "rows")
    sets = td.data.Sets(rows, rows, rows, "rows", "made up")
    steps = []
    with pytest.raises(LossError, match="softmax") as refused:
        td.fit(
            network, sets, loss="cross_entropy", optimizer=td.optim.SGD(0.1), on_step=lambda state, n: steps.append(n)
        )
    assert "1.46115" in str(refused.value)
    assert "from_probabilities" in str(refused.value)
    assert not steps
    loss = CrossEntropy(from_probabilities=True)
    run = td.fit(network, sets, loss=loss, optimizer=td.optim.SGD(0.1), epochs=2)
    np.testing.assert_allclose(run.predict(rows.inputs).sum(axis=1), 1, rtol=1e-5)


def test_softmax_twice_is_found_behind_ops_that_only_move():
    scores = td.tensor([[2.0, 1.0], [0.0, 3.0]], requires_grad=True)
    moved = td.ops.softmax(scores, axis=1).reshape(2, 2)[::-1]
    with pytest.raises(LossError, match="applies softmax itself"):
        CrossEntropy()(moved, np.array([0, 1]))
    CrossEntropy()(moved + scores, np.array([0, 1]))  # what is computed further are scores again


def test_softmax_twice_cannot_fall_below_the_number_stated():
    perfect = np.eye(10)
    assert CrossEntropy()(td.tensor(perfect), np.arange(10)).item() == pytest.approx(np.log(np.e + 9) - 1, rel=1e-14)
    assert f"{np.log(np.e + 9) - 1:.5f}" == "1.46115"
    scores = td.tensor(np.zeros((2, 3)), requires_grad=True)
    with pytest.raises(LossError, match=f"{float(mpmath.log(mpmath.e + 2) - 1):.5f} for 3 classes"):
        CrossEntropy()(td.ops.softmax(scores, axis=1), np.array([0, 1]))


def test_targets_in_the_form_of_each_loss():
    labels = np.array([3, 0, 2], np.uint8)
    for loss in (SquaredError(), AbsoluteError()):
        targets = loss.targets(labels, np.float32)
        assert targets.dtype == np.float32
        np.testing.assert_array_equal(targets, [[3], [0], [2]])
    assert CrossEntropy().targets(labels, np.float32) is labels


def test_outputs_that_a_loss_needs():
    assert [SquaredError().outputs(None), SquaredError().outputs(10), AbsoluteError().outputs(10)] == [1, 1, 1]
    assert CrossEntropy().outputs(10) == 10
    with pytest.raises(LossError, match="CrossEntropy compares classes, and the targets of this data are numbers"):
        CrossEntropy().outputs(None)


def test_predictions():
    numbers = td.tensor([[1.5], [-2.0]])
    for loss in (SquaredError(), AbsoluteError()):
        assert loss.predict(numbers) is numbers
    p = td.tensor([[0.25, 0.75]])
    assert CrossEntropy(from_probabilities=True).predict(p) is p
    np.testing.assert_allclose(CrossEntropy().predict(td.tensor([[0.0, np.log(3)]])).numpy(), [[0.25, 0.75]])


def test_losses_go_by_these_names():
    assert {
        "squared_error": SquaredError,
        "absolute_error": AbsoluteError,
        "huber": Huber,
        "cross_entropy": CrossEntropy,
        "binary_cross_entropy": BinaryCrossEntropy,
    } == LOSSES


class Unknown:
    """Stands for an array while a step is recorded: it has a shape and a dtype, and no values to look at."""

    def __init__(self, shape, dtype=np.int64):
        self.shape, self.dtype = shape, np.dtype(dtype)

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("its values were looked at")

    def __bool__(self):
        raise AssertionError("its values were looked at")


@pytest.mark.parametrize("from_probabilities", [False, True])
def test_labels_without_values_reach_the_kernels(from_probabilities):
    seen = []

    def note(x, found):
        seen.append(found)
        return np.ones(len(x))

    labels = Unknown((3,))
    replaced = {"cross_entropy": note, "getitem": lambda x, index: note(x, index[1])}
    outputs = td.tensor(np.full((3, 4), 0.25), requires_grad=True)
    with kernels.use(SimpleNamespace(**(vars(kernels.reference) | replaced))):
        CrossEntropy(from_probabilities)(outputs, labels)
    assert seen == [labels]


@pytest.mark.parametrize(
    ("loss", "shape", "dtype", "message"),
    [
        (CrossEntropy(), (4,), int, r"expected labels of shape \(3,\)"),
        (CrossEntropy(), (3,), float, "labels must be integers, found float64"),
        (CrossEntropy(), (3, 2), int, "rows of targets cannot be recorded in a training step: give labels"),
        (SquaredError(), (3,), float, r"predictions have shape \(3, 2\), targets \(3,\)"),
        (AbsoluteError(), (2, 3), float, r"targets \(2, 3\)"),
    ],
    ids=str,
)
def test_shapes_are_compared_without_values(loss, shape, dtype, message):
    with pytest.raises(LossError, match=message):
        loss(td.tensor(np.zeros((3, 2)), requires_grad=True), Unknown(shape, dtype))


def test_labels_may_be_a_tensor_or_a_list():
    scores = td.tensor([[3.0, 1.0], [0.0, 2.0]])
    expected = CrossEntropy()(scores, np.array([0, 1])).item()
    assert CrossEntropy()(scores, td.tensor([0, 1])).item() == expected
    assert CrossEntropy()(scores, [0, 1]).item() == expected
    with pytest.raises(LossError, match="row 1 has label 2, expected 0 to 1"):
        CrossEntropy()(scores, td.tensor([0, 2]))


@given(st.integers(1, 9), st.floats(0.01, 5), st.integers(0, 2**32))
def test_huber_is_its_closed_form(samples, delta, seed):
    rng = np.random.default_rng(seed)
    z, y = rng.normal(size=(2, samples, 3)) * 3
    z.flat[0], z.flat[-1] = y.flat[0], y.flat[-1] + delta  # at the lowest point, and where the parabola ends
    d = z - y
    value = np.where(abs(d) <= delta, d**2 / 2, delta * (abs(d) - delta / 2))
    found, gradient = value_and_gradient(Huber(delta), z, y)
    assert found == pytest.approx(value.mean(), rel=1e-12)
    np.testing.assert_allclose(gradient, np.clip(d, -delta, delta) / z.size, rtol=1e-9, atol=1e-15)


@given(st.integers(1, 9), st.integers(2, 6), st.floats(0, 1), st.booleans(), st.integers(0, 2**32))
def test_smoothed_and_weighted_cross_entropy_is_its_closed_form(samples, classes, smoothing, weighted, seed):
    rng = np.random.default_rng(seed)
    scores, labels = rng.normal(size=(samples, classes)) * 5, rng.integers(0, classes, samples)
    w = rng.uniform(0.1, 2, classes) if weighted else np.ones(classes)
    loss = CrossEntropy(smoothing=smoothing, weights=w if weighted else None)
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    t = w * ((1 - smoothing) * one_hot(labels, classes) + smoothing / classes)
    total = w[labels].sum()
    found, gradient = value_and_gradient(loss, scores, labels)
    assert found == pytest.approx(-np.sum(t * np.log(p)) / total, rel=1e-10)
    np.testing.assert_allclose(gradient, (p * t.sum(axis=1, keepdims=True) - t) / total, rtol=1e-9, atol=1e-14)
    rows = rng.dirichlet(np.ones(classes), samples)
    found, gradient = value_and_gradient(loss, scores, rows)
    t = w * ((1 - smoothing) * rows + smoothing / classes)
    assert found == pytest.approx(-np.sum(t * np.log(p)) / samples, rel=1e-10)
    np.testing.assert_allclose(gradient, (p * t.sum(axis=1, keepdims=True) - t) / samples, rtol=1e-9, atol=1e-14)


def test_smoothing_of_1_forgets_the_labels_and_the_smallest_losses_of_the_course_stand():
    scores = np.random.default_rng(0).normal(size=(5, 4))
    values = [value_and_gradient(CrossEntropy(smoothing=1.0), scores, np.full(5, label))[0] for label in range(4)]
    assert values == pytest.approx([values[0]] * 4, rel=1e-14)
    for p, value in ((0.6, 0.5108256237659907), (0.1, 2.302585092994046)):
        loss = CrossEntropy(from_probabilities=True)(td.tensor([[p, 1 - p]]), np.array([0]))
        assert loss.item() == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize("far", [1e4, np.inf])
def test_a_class_with_no_share_may_be_as_far_out_as_it_likes(far):
    # t = 0 beside a logarithm of −∞, or of −1e4, adds nothing
    scores = np.array([[0.0, 0.0, -far]])
    for loss in (CrossEntropy(weights=[1, 1, 0]), CrossEntropy(weights=[1, 1, 0], smoothing=0.0)):
        found, gradient = value_and_gradient(loss, scores, np.array([0]))
        assert found == pytest.approx(np.log(2))
        np.testing.assert_allclose(gradient, [[-0.5, 0.5, 0]])
    found, gradient = value_and_gradient(CrossEntropy(), scores, np.array([[0.25, 0.75, 0.0]]))
    assert found == pytest.approx(np.log(2))
    np.testing.assert_allclose(gradient, [[0.25, -0.25, 0]])


def test_samples_of_classes_without_weight_give_no_loss_and_no_gradient():
    found, gradient = value_and_gradient(CrossEntropy(weights=[0, 1]), np.array([[1.0, 2.0]]), np.array([0]))
    assert found == 0
    np.testing.assert_array_equal(gradient, [[0, 0]])


@given(st.integers(1, 9), st.integers(0, 2**32))
def test_binary_cross_entropy_is_that_of_two_classes(samples, seed):
    rng = np.random.default_rng(seed)
    s, y = rng.normal(size=(samples, 1)) * 5, rng.integers(0, 2, samples)
    found, gradient = value_and_gradient(BinaryCrossEntropy(), s, y)
    two, by_both = value_and_gradient(CrossEntropy(), np.concatenate([np.zeros_like(s), s], axis=1), y)
    assert found == pytest.approx(two, rel=1e-12)
    np.testing.assert_allclose(gradient, by_both[:, 1:], rtol=1e-9, atol=1e-15)
    p = 1 / (1 + np.exp(-s))
    assert BinaryCrossEntropy(True)(td.tensor(p), y).item() == pytest.approx(found, rel=1e-9)
    np.testing.assert_allclose(BinaryCrossEntropy().predict(td.tensor(s)).numpy(), np.concatenate([1 - p, p], axis=1))
    np.testing.assert_allclose(BinaryCrossEntropy(True).predict(td.tensor(p)).numpy(), np.concatenate([1 - p, p], 1))


@pytest.mark.parametrize(
    ("score", "label", "loss", "gradient"),
    [(1e4, 1, 0, 0), (1e4, 0, 1e4, 1), (-1e4, 0, 0, 0), (-1e4, 1, 1e4, -1), (-np.inf, 0, 0, 0), (np.inf, 1, 0, 0)],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_cross_entropy_far_out(score, label, loss, gradient, dtype):
    found, by_score = value_and_gradient(BinaryCrossEntropy(), np.array([[score]], dtype), np.array([label]))
    assert found == loss
    assert by_score.item() == gradient


@pytest.mark.parametrize(("p", "label", "loss"), [(0.0, 0, 0), (1.0, 1, 0), (0.0, 1, np.inf), (1.0, 0, np.inf)])
def test_binary_cross_entropy_of_probabilities_0_and_1(p, label, loss):
    assert BinaryCrossEntropy(True)(td.tensor([[p]]), np.array([label])).item() == loss


def test_what_binary_cross_entropy_refuses():
    with pytest.raises(LossError, match="two classes, and this data has 3: use CrossEntropy"):
        BinaryCrossEntropy().outputs(3)
    with pytest.raises(LossError, match=r"expected outputs of shape \(N, 1\), found \(2, 2\)"):
        BinaryCrossEntropy()(td.tensor(np.zeros((2, 2))), np.array([0, 1]))
    with pytest.raises(LossError, match="row 1 has label 2, expected 0 to 1"):
        BinaryCrossEntropy()(td.tensor(np.zeros((2, 1))), np.array([0, 2]))
    with pytest.raises(LossError, match=r"row 1 is 1\.5: end the network with a Sigmoid"):
        BinaryCrossEntropy(True)(td.tensor([[0.5], [1.5]]), np.array([0, 1]))
    score = td.tensor([[0.3]], requires_grad=True)
    with pytest.raises(LossError, match="ends with sigmoid"):
        BinaryCrossEntropy()(td.ops.sigmoid(score), np.array([1]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Huber(0), "Huber: delta must be above 0, found 0"),
        (lambda: CrossEntropy(smoothing=1.5), "CrossEntropy: smoothing must be from 0 to 1, found 1.5"),
        (lambda: CrossEntropy(weights=[1, -1]), "CrossEntropy: weights must be not negative, and not all 0"),
        (lambda: CrossEntropy(weights=[0, 0]), "not all 0"),
        (lambda: CrossEntropy(weights=[]), "not all 0"),
    ],
)
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_as_many_weights_as_classes():
    with pytest.raises(LossError, match="2 weights are given for 3 classes"):
        CrossEntropy(weights=[1, 2])(td.tensor(np.zeros((1, 3))), np.array([0]))


@pytest.mark.parametrize(
    ("loss", "outputs", "targets"),
    [
        (SquaredError(), (4, 2), None),
        (SquaredError(halved=True), (4, 1), None),
        (AbsoluteError(), (4, 3), None),
        (Huber(0.5), (4, 2), None),
        (CrossEntropy(), (4, 3), 3),
        (CrossEntropy(smoothing=0.2), (4, 3), 3),
        (BinaryCrossEntropy(), (4, 1), 2),
    ],
    ids=str,
)
def test_the_mean_is_that_of_each_sample(loss, outputs, targets):
    rng = np.random.default_rng(0)
    z = td.tensor(rng.normal(size=outputs))
    y = rng.normal(size=outputs) if targets is None else rng.integers(0, targets, outputs[0])
    each = loss.each(z, y)
    assert each.shape == (4,)
    assert each.numpy().mean() == pytest.approx(loss(z, y).item(), rel=1e-13)
    alone = loss(td.tensor(z.numpy()[2:3]), y[2:3]).item()
    assert each.numpy()[2] == pytest.approx(alone, rel=1e-13)


@pytest.mark.parametrize(
    ("loss", "outputs"),
    [(kind(), 1 if kind in (SquaredError, AbsoluteError, Huber, BinaryCrossEntropy) else 3) for kind in LOSSES.values()]
    + [
        (SquaredError(halved=True), 1),
        (Huber(0.3), 1),
        (CrossEntropy(smoothing=0.2), 3),
        (CrossEntropy(weights=[1, 0.5, 3]), 3),
        (CrossEntropy(weights=[1, 0, 3], smoothing=0.1), 3),
        (CrossEntropy(from_probabilities=True, weights=[2, 1, 4]), 3),
        (BinaryCrossEntropy(from_probabilities=True), 1),
    ],
    ids=str,
)
def test_every_loss_is_the_mean_of_its_samples_by_their_weights(loss, outputs):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(12, outputs))
    if getattr(loss, "from_probabilities", False):
        z = np.exp(z) / (np.exp(z).sum(axis=1, keepdims=True) if outputs > 1 else 1 + np.exp(z))
    y = rng.integers(0, max(outputs, 2), 12)
    targets = loss.targets(y, z.dtype)
    each, weights = loss.each(td.tensor(z), targets).numpy(), loss.sample_weights(targets)
    assert each.shape == weights.shape == (12,)
    assert each.sum() / weights.sum() == pytest.approx(loss(td.tensor(z), targets).item(), rel=1e-13)
    for i in range(12):
        alone = loss(td.tensor(z[i : i + 1]), targets[i : i + 1]).item()
        assert alone * weights[i] == pytest.approx(each[i] if weights[i] else 0, rel=1e-13)


def test_weights_of_samples_are_those_of_labels_one_hot_rows_but_not_of_distributions():
    loss, labels = CrossEntropy(weights=[1, 0.5, 3]), np.array([2, 0, 1, 1])
    assert loss.sample_weights(labels).tolist() == [3, 1, 0.5, 0.5]
    assert loss.sample_weights(np.eye(3)[labels]).tolist() == [3, 1, 0.5, 0.5]
    rows = np.full((4, 3), 1 / 3)
    assert loss.sample_weights(rows).tolist() == [1, 1, 1, 1]
    z = td.tensor(np.random.default_rng(0).normal(size=(4, 3)))
    assert loss.each(z, rows).numpy().mean() == pytest.approx(loss(z, rows).item(), rel=1e-13)


@pytest.mark.parametrize(
    "loss", [Huber(0.5), CrossEntropy(smoothing=0.1), CrossEntropy(weights=[1, 2, 0.5], smoothing=0.1)], ids=str
)
def test_new_losses_train_by_recordings_as_on_the_tape(loss):
    sets = three_classes() if loss.compares == "classes" else line(40)
    network = td.nn.Sequential(td.nn.Linear(3 if loss.compares == "classes" else 1))
    run = td.fit(network, sets, loss=loss, optimizer=td.optim.SGD(0.1), batch_size=10, epochs=5)
    assert run.history[-1]["train_loss"] < run.history[0]["train_loss"]


@pytest.mark.parametrize(
    ("loss", "targets", "outputs"),
    [
        (SquaredError(), np.array([[0.0], [1.0], [5.0]]), 1),
        (SquaredError(halved=True), np.array([[0.0], [1.0], [5.0]]), 1),
        (AbsoluteError(), np.array([[0.0], [1.0], [5.0]]), 1),
        (Huber(0.5), np.array([[0.0], [1.0], [5.0], [5.5]]), 1),
        (CrossEntropy(), np.array([0, 0, 1, 2]), 3),
        (CrossEntropy(smoothing=0.2), np.array([0, 0, 1, 1]), 3),
        (CrossEntropy(weights=(1, 2, 3)), np.array([0, 0, 1, 2]), 3),
        (CrossEntropy(smoothing=0.1, weights=(1, 2, 3)), np.array([0, 0, 1, 2]), 3),
        (CrossEntropy(), np.array([[0.5, 0.5, 0.0], [0.1, 0.2, 0.7]]), 3),
        (CrossEntropy(from_probabilities=True), np.array([0, 0, 1, 2]), 3),
        (BinaryCrossEntropy(), np.array([0, 0, 1]), 1),
        (BinaryCrossEntropy(from_probabilities=True), np.array([0, 0, 1]), 1),
    ],
    ids=repr,
)
def test_no_constant_outputs_are_better_than_those_of_constant(loss, targets, outputs):
    constant = loss.constant(targets, outputs)
    level = loss.uninformed(targets, outputs)
    draws = np.random.default_rng(0)
    for size in (0.5, 0.1, 1e-3):
        other = constant + size * draws.normal(size=(20, outputs))
        if getattr(loss, "from_probabilities", False):
            other = np.clip(other, 1e-6, 1 - 1e-6)
            other = other / other.sum(axis=1, keepdims=True) if outputs > 1 else other
        for row in other:
            value = loss(td.tensor(np.repeat(row[None], len(targets), axis=0)), targets).item()
            assert value >= level - 1e-12
    assert loss(td.tensor(np.repeat(constant[None], len(targets), axis=0)), targets).item() == level


def test_level_of_who_knows_nothing():
    assert CrossEntropy().uninformed(np.arange(10), 10) == pytest.approx(np.log(10), rel=1e-14)
    assert CrossEntropy().uninformed(np.array([1, 1]), 3) == 0  # one class alone
    assert SquaredError().uninformed(np.arange(10.0)[:, None], 1) == pytest.approx(8.25, rel=1e-14)
    assert BinaryCrossEntropy().uninformed(np.array([0, 0]), 1) == 0

    class Own(td.losses.Loss):
        compares = "values"

        def __call__(self, outputs, targets):
            return td.ops.mean(outputs - targets)

    assert np.isnan(Own().uninformed(np.zeros((2, 1)), 1))
