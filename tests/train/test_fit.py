import hashlib
import itertools

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import treadle as td
from treadle.data import Dataset, Order, Sets
from treadle.errors import DataError, LossError, MemoryLimitError, ShapeError, TrainingError, TreadleError
from treadle.nn import Flatten, Linear, Module, Parameter, ReLU, Sequential
from treadle.tree import leaves

NETWORK = Sequential(Linear(5), ReLU(), Linear(3))
SGD = td.optim.SGD(0.1)


def three_classes(seed=0, sizes=(50, 20, 30)):
    """Sets of 4 features whose largest of the first 3 is the class."""
    rng = np.random.default_rng(seed)
    parts = []
    for size in sizes:
        x = rng.uniform(-1, 1, (size, 4))
        parts.append(Dataset(x, np.argmax(x[:, :3], axis=1), ("a", "b", "c"), "part"))
    return Sets(*parts, "three", "made up")


def line(size=40, noise=0.0, features=1, seed=0):
    """Sets whose targets are a linear function of the features."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (3 * size, features))
    rows = Dataset(x, x @ np.arange(1, features + 1) + 0.5 + noise * rng.normal(size=3 * size), None, "line")
    return Sets(rows[:size], rows[size : 2 * size], rows[2 * size :], "line", "made up")


def fit(sets, network=NETWORK, **settings):
    settings = {"loss": "cross_entropy" if sets.train.classes else "squared_error", "optimizer": SGD} | settings
    return td.fit(network, sets, **settings)


def digest(params):
    return hashlib.sha256(b"".join(path.encode() + leaf.tobytes() for path, leaf in leaves(params))).hexdigest()


def same_history(one, other):
    timeless = [[{k: v for k, v in record.items() if k != "seconds"} for record in run.history] for run in (one, other)]
    return timeless[0] == timeless[1]


# --- What training computes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_seed_same_bits(dtype):
    sets = three_classes()
    runs = [fit(sets, batch_size=16, epochs=2, seed=7, dtype=dtype) for _ in range(20)]
    assert len({digest(run.parameters) for run in runs}) == 1
    assert all(same_history(run, runs[0]) for run in runs)
    assert digest(fit(sets, batch_size=16, epochs=2, seed=8, dtype=dtype).parameters) != digest(runs[0].parameters)
    assert {leaf.dtype for _, leaf in leaves(runs[0].parameters)} == {np.dtype(dtype)}


def test_least_squares_is_where_full_batches_lead():
    sets = line(60, noise=0.3, features=3)
    run = fit(sets, Sequential(Linear(1)), batch_size=60, epochs=800, scale="none", dtype=np.float64)
    x = np.c_[sets.train.inputs, np.ones(60)]
    expected, residual, _, _ = np.linalg.lstsq(x, sets.train.targets)
    layer = run.parameters["linear1"]
    np.testing.assert_allclose(np.r_[layer["weight"][:, 0], layer["bias"]], expected, rtol=1e-9)
    assert run.history[-1]["train_loss"] == pytest.approx(residual[0] / 60, rel=1e-12)


def test_every_step_is_that_of_numpy():
    # softmax regression, written out: p ← p − lr ∂L/∂p over the batches of each epoch's order
    sets, seed, batch, lr = three_classes(), 3, 16, 0.5
    network = Sequential(Linear(3))
    start = network.init((4,), seed=seed, dtype=np.float64)["linear1"]
    w, b = start["weight"].copy(), start["bias"].copy()
    x, y = sets.train.inputs, sets.train.targets
    low, high = x.min(axis=0), x.max(axis=0)

    def losses(x, y):
        scores = (x - low) / (high - low) @ w + b
        p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        return p, -np.log(p[np.arange(len(y)), y])

    history = []
    for epoch in range(3):
        seen = []
        indices = Order(50, seed).indices(epoch)
        for rows in (indices[i : i + batch] for i in range(0, 50, batch)):
            p, each = losses(x[rows], y[rows])
            seen.extend(each)
            difference = (p - np.eye(3)[y[rows]]) / len(rows)
            scaled = (x[rows] - low) / (high - low)
            w, b = w - lr * scaled.T @ difference, b - lr * difference.sum(axis=0)
        p, each = losses(sets.validation.inputs, sets.validation.targets)
        history.append((np.mean(seen), np.mean(each), np.mean(p.argmax(axis=1) == sets.validation.targets)))

    run = fit(sets, network, optimizer=td.optim.SGD(lr), batch_size=batch, epochs=3, seed=seed, dtype=np.float64)
    np.testing.assert_allclose(run.parameters["linear1"]["weight"], w, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(run.parameters["linear1"]["bias"], b, rtol=1e-11, atol=1e-14)
    # 50 samples are batches of 16, 16, 16 and 2: the mean over samples is not that over batches
    found = [(h["train_loss"], h["validation_loss"], h["validation_accuracy"]) for h in run.history]
    np.testing.assert_allclose(found, history, rtol=1e-12)
    assert run.step == 3 * 4


def test_without_shuffle_the_samples_come_in_order():
    seen = []

    class Watching(td.losses.SquaredError):
        def __call__(self, outputs, targets):
            seen.append(np.ravel(targets).tolist())
            return super().__call__(outputs, targets)

    x = np.arange(5.0)[:, None]
    rows = Dataset(x, x[:, 0], None, "rows")
    sets = Sets(rows, rows[:1], rows[:1], "rows", "made up")
    settings = {"loss": Watching(), "scale": "none", "batch_size": 2, "epochs": 2, "optimizer": td.optim.SGD(0.0)}
    td.fit(Sequential(Linear(1)), sets, shuffle=False, **settings)
    assert [batch for batch in seen if batch != [0]] == [[0, 1], [2, 3], [4]] * 2
    seen.clear()
    td.fit(Sequential(Linear(1)), sets, shuffle=True, **settings)
    steps = list(itertools.chain(*seen[1:4], *seen[5:8]))
    assert sorted(steps[:5]) == sorted(steps[5:]) == [0, 1, 2, 3, 4]
    assert steps[:5] != steps[5:]


def test_parameters_to_begin_with():
    sets = three_classes()
    first = fit(sets, batch_size=50, epochs=2, seed=1, shuffle=False)
    kept = digest(first.parameters)
    on = fit(sets, batch_size=50, epochs=3, seed=1, shuffle=False, parameters=first.parameters)
    assert digest(first.parameters) == kept
    assert digest(on.parameters) == digest(fit(sets, batch_size=50, epochs=5, seed=1, shuffle=False).parameters)


def test_parameters_that_do_not_fit_are_refused():
    sets = three_classes()
    given = NETWORK.init((4,), seed=0)
    given["linear1"]["weight"] = np.ones((9, 5), np.float32)
    with pytest.raises(ShapeError, match=r"linear1\.weight should have shape \(4, 5\) float32, found \(9, 5\) float32"):
        fit(sets, parameters=given)
    del given["linear1"]
    with pytest.raises(ShapeError, match=r"linear1\.weight should have shape \(4, 5\) float32, found nothing"):
        fit(sets, parameters=given)
    more = NETWORK.init((4,), seed=0) | {"linear3": {"weight": np.ones(1, np.float32)}}
    with pytest.raises(ShapeError, match=r"linear3\.weight should have shape none, for it is unknown, found \(1,\)"):
        fit(sets, parameters=more)
    with pytest.raises(ShapeError, match=r"should have shape \(4, 5\) float32, found \(4, 5\) float64"):
        fit(sets, parameters=NETWORK.init((4,), seed=0, dtype=np.float64))


# --- Which data it sees ----------------------------------------------------------------------------------------


def test_neither_parameters_nor_history_depend_on_the_test_set():
    sets = three_classes()
    strange = Dataset(1e6 * np.ones((3, 4)), np.array([2, 2, 2]), ("a", "b", "c"), "strange")
    runs = [fit(Sets(sets.train, sets.validation, test, "", ""), epochs=3) for test in (sets.test, strange)]
    assert digest(runs[0].parameters) == digest(runs[1].parameters)
    assert same_history(*runs)
    np.testing.assert_array_equal(runs[0].scale.offset, runs[1].scale.offset)
    np.testing.assert_array_equal(runs[0].scale.factor, runs[1].scale.factor)


def test_the_test_set_is_not_read_once_the_data_were_checked():
    class Guarded(Dataset):
        closed = False

        def __getattribute__(self, name):
            if name in ("inputs", "targets") and object.__getattribute__(self, "closed"):
                raise AssertionError(f"{name} of the test set were read during training")
            return object.__getattribute__(self, name)

    sets = three_classes()
    test = Guarded(sets.test.inputs, sets.test.targets, sets.test.classes, "test")
    close = lambda *_: object.__setattr__(test, "closed", True)  # noqa: E731
    run = fit(Sets(sets.train, sets.validation, test, "", ""), epochs=3, batch_size=10, on_step=close)
    assert len(run.history) == 3
    with pytest.raises(AssertionError, match="were read"):
        run.test()


def test_validation_does_not_change_the_parameters():
    sets = three_classes()
    other = Dataset(sets.validation.inputs * 50, sets.validation.targets[::-1].copy(), ("a", "b", "c"), "other")
    runs = [fit(Sets(sets.train, part, sets.test, "", ""), epochs=3) for part in (sets.validation, other)]
    assert digest(runs[0].parameters) == digest(runs[1].parameters)
    assert not same_history(*runs)


def test_fit_leaves_data_and_given_parameters_as_they_are():
    sets = three_classes()
    before, start = sets.fingerprint(), NETWORK.init((4,), seed=0)
    kept = digest(start)
    run = fit(sets, epochs=2, parameters=start)
    assert Sets(sets.train, sets.validation, sets.test, "", "").fingerprint() == before
    assert digest(start) == kept != digest(run.parameters)


# --- What stops it ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [10, 40])
def test_a_loss_that_is_not_finite_stops_before_the_update(batch):
    sets, kept = line(), []
    network = Sequential(Linear(1))

    def on_step(state, steps):
        kept.append((state, digest(state.params), state.step))

    with pytest.raises(TrainingError) as stopped:
        fit(sets, network, optimizer=td.optim.SGD(1e30), batch_size=batch, epochs=5, on_step=on_step)
    # the first step throws the parameters far out, the loss of the second is no float32
    epoch = 1 if batch == 10 else 2
    assert f"the loss is inf in epoch {epoch}, step 2 of the run" in str(stopped.value)
    assert "before this step's update" in str(stopped.value)
    state, last, step = kept[-1]
    assert len(kept) == step == state.step == 1
    assert digest(state.params) == last
    assert all(np.isfinite(leaf).all() for _, leaf in leaves(state.params))


class Root(Module):
    """x · w + √w₀, whose gradient by w₀ is infinite at 0, where the value is not."""

    def parameters(self, shape):
        return {"weight": Parameter((shape[0], 1)), "root": Parameter((1,))}

    def output_shape(self, shape):
        return (1,)[: len(shape)]

    def forward(self, params, x, mode):  # noqa: ARG002
        return x @ params["weight"] + td.ops.sqrt(params["root"])


def test_a_gradient_that_is_not_finite_stops_before_the_update_and_is_named():
    sets, steps = line(), []
    with pytest.raises(TrainingError, match=r"gradient of root1\.root is not finite, .* in epoch 1, step 1 of the run"):
        fit(sets, Sequential(Root()), on_step=lambda state, count: steps.append(count))
    assert not steps


def test_what_overflows_in_the_last_update_is_seen_in_the_scores():
    sets = line()
    run = fit(sets, Sequential(Linear(1)), optimizer=td.optim.SGD(1e30), batch_size=40, epochs=1)
    assert run.history[0]["validation_loss"] == np.inf
    assert run.test()["loss"] == np.inf


@pytest.mark.parametrize(("stop", "epochs_done"), [(1, 0), (5, 0), (6, 1), (12, 2)])
def test_an_interruption_keeps_the_last_complete_step(stop, epochs_done):
    sets, seen = three_classes(), {}
    whole = fit(sets, batch_size=10, epochs=3, on_step=lambda state, _: seen.update({state.step: digest(state.params)}))

    def on_step(state, steps):
        assert steps == 5
        if state.step == stop:
            raise KeyboardInterrupt

    with pytest.raises(td.Interrupted, match=f"stopped after {stop} steps") as stopped:
        fit(sets, batch_size=10, epochs=3, on_step=on_step)
    run = stopped.value.run
    assert isinstance(stopped.value, KeyboardInterrupt)
    assert run.step == stop
    assert digest(run.parameters) == seen[stop]
    assert len(run.history) == epochs_done
    assert [h["train_loss"] for h in run.history] == [h["train_loss"] for h in whole.history[:epochs_done]]
    assert run.test()["samples"] == 30


# the first call tries the loss on one sample; an epoch has 5 steps and an evaluation
@pytest.mark.parametrize(("call", "step", "epochs_done"), [(4, 2, 0), (7, 5, 0), (8, 5, 1)])
def test_an_interruption_within_a_step_or_an_evaluation(call, step, epochs_done):
    calls, seen = itertools.count(1), {}

    class Stopping(td.losses.CrossEntropy):
        def __call__(self, outputs, targets):
            if next(calls) == call:
                raise KeyboardInterrupt
            return super().__call__(outputs, targets)

    def on_step(state, steps):
        seen[state.step] = digest(state.params)

    with pytest.raises(td.Interrupted) as stopped:
        fit(three_classes(), loss=Stopping(), batch_size=10, epochs=2, on_step=on_step)
    run = stopped.value.run
    assert (run.step, len(run.history), digest(run.parameters)) == (step, epochs_done, seen[step])


def test_an_interruption_after_an_epoch_keeps_it():
    def on_epoch(run):
        if len(run.history) == 2:
            raise KeyboardInterrupt

    with pytest.raises(td.Interrupted) as stopped:
        fit(three_classes(), batch_size=10, epochs=5, on_epoch=on_epoch)
    assert (len(stopped.value.run.history), stopped.value.run.step) == (2, 10)


# --- What does not fit, before the first step --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, found 0"),
        ({"batch_size": -5}, "batch_size must be at least 1, found -5"),
        ({"epochs": 0}, "epochs must be at least 1, found 0"),
        ({"seed": -1}, "seed must be at least 0, found -1"),
        ({"loss": "crossentropy"}, "no loss is called 'crossentropy': did you mean 'cross_entropy'"),
        ({"network": "mpl"}, r"no network is called 'mpl': did you mean 'mlp'\? there are baseline, softmax, mlp"),
        ({"metrics": ["acuracy"]}, "no metric is called 'acuracy': did you mean 'accuracy'"),
        ({"scale": "zzz"}, "no scaling is called 'zzz': there are minmax"),
    ],
)
def test_settings_out_of_range_or_unknown(settings, message):
    with pytest.raises(TreadleError, match=message):
        fit(three_classes(), **settings)


@pytest.mark.parametrize(
    ("network", "loss", "message"),
    [
        (
            Sequential(Linear(4)),
            "cross_entropy",
            r"outputs of shape \(4,\), and CrossEntropy needs \(3,\), a score for",
        ),
        (Sequential(Linear(1)), "cross_entropy", "give the last layer 3 units, or choose another loss"),
        (Sequential(Linear(3)), "squared_error", r"SquaredError needs \(1,\), one number: give the last layer 1 unit,"),
        ("baseline", "cross_entropy", "take the preset 'softmax'"),
        (Sequential(Linear(2**40)), "cross_entropy", r"\(1099511627776,\)"),
    ],
)
def test_a_wrong_number_of_outputs(network, loss, message):
    with pytest.raises(ShapeError, match=message):
        fit(three_classes(), network, loss=loss)


def test_images_need_a_flatten_layer():
    images = Dataset(np.zeros((6, 1, 2, 2), np.uint8), np.arange(6) % 2, ("a", "b"), "images")
    with pytest.raises(ShapeError, match=r"layer linear1.*\(1, 2, 2\).*Flatten"):
        fit(Sets(images, images, images, "", ""), Sequential(Linear(2)))


def test_metrics_must_fit_loss_and_data():
    with pytest.raises(LossError, match="squared_error compares numbers, and CrossEntropy predicts classes"):
        fit(three_classes(), metrics=["accuracy", "squared_error"])
    with pytest.raises(LossError, match="accuracy counts right classes, and the targets of this data are numbers"):
        fit(line(), Sequential(Linear(1)), metrics=["accuracy"])
    with pytest.raises(LossError, match="compares classes, and the targets of this data are numbers"):
        fit(line(), Sequential(Linear(2)), loss="cross_entropy")


def test_data_with_errors_are_refused():
    sets = three_classes()
    sets.train.inputs[7, 1] = np.nan
    with pytest.raises(DataError, match="row 7"):
        fit(sets)


# --- What a run holds ------------------------------------------------------------------------------------------


def test_history_has_a_record_for_each_epoch():
    seen = []
    metrics = ["accuracy", "absolute_error"]
    run = fit(
        three_classes(),
        Sequential(Linear(1)),
        loss="absolute_error",
        metrics=metrics,
        epochs=3,
        on_epoch=lambda run: seen.append(len(run.history)),
    )
    keys = ["epoch", "train_loss", "validation_loss", "validation_accuracy", "validation_absolute_error", "seconds"]
    assert all(list(record) == keys for record in run.history)
    assert [record["epoch"] for record in run.history] == seen == [1, 2, 3]
    assert all(type(record[key]) is float for record in run.history for key in keys[1:])
    assert all(record["seconds"] > 0 for record in run.history)
    for record in run.history:
        assert record["validation_loss"] == pytest.approx(record["validation_absolute_error"], rel=1e-5)


def test_metrics_are_those_of_the_targets_where_none_are_named():
    assert [metric.name for metric in fit(three_classes()).metrics] == ["accuracy"]
    assert [metric.name for metric in fit(line(), Sequential(Linear(1))).metrics] == ["squared_error"]
    assert "validation_accuracy" not in fit(three_classes(), metrics=[]).history[0]


def test_test_gives_loss_metrics_and_intervals():
    sets = three_classes()
    run = fit(sets, batch_size=5, epochs=10, dtype=np.float64)
    found = run.test()
    assert list(found) == ["loss", "samples", "accuracy", "accuracy_interval"]
    p, labels = run.predict(sets.test.inputs), sets.test.targets
    right = p.argmax(axis=1) == labels
    assert found["samples"] == 30
    assert found["accuracy"] == right.mean() > 0.5
    assert found["loss"] == pytest.approx(np.mean(-np.log(p[np.arange(30), labels])), rel=1e-12)
    low, high = found["accuracy_interval"]
    assert 0 < low < found["accuracy"] < high < 1
    run.sets = Sets(sets.train, sets.validation, sets.test[:10], "", "")
    assert run.test()["samples"] == 10


def test_a_run_without_its_data_says_what_to_do():
    run = fit(three_classes())
    run.sets = None
    with pytest.raises(TreadleError, match=r"load the sets and give them as run\.sets"):
        run.test()


def test_evaluation_in_pieces_is_evaluation_at_once():
    sets = three_classes(sizes=(50, 20, 2500))
    run = fit(sets, dtype=np.float64)
    layers = run.parameters
    scaled = (sets.test.inputs - run.scale.offset) * run.scale.factor
    hidden = np.maximum(scaled @ layers["linear1"]["weight"] + layers["linear1"]["bias"], 0)
    scores = hidden @ layers["linear2"]["weight"] + layers["linear2"]["bias"]
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(run.predict(sets.test.inputs), p, rtol=1e-12)
    assert run.test()["loss"] == pytest.approx(np.mean(-np.log(p[np.arange(2500), sets.test.targets])), rel=1e-12)


def test_predictions_are_scaled_by_the_training_set():
    rng = np.random.default_rng(0)
    x = rng.integers(10, 200, (90, 1, 2, 3)).astype(np.uint8)
    x[0].flat[:2] = 0, 250
    images = Dataset(x, np.arange(90) % 3, ("a", "b", "c"), "images")
    run = fit(Sets(images[:50], images[50:60], images[60:], "", ""), Sequential(Flatten(), Linear(3)), dtype=float)
    assert run.scale.factor == pytest.approx(1 / 250)
    for raw in (x[60:], x[60:].astype(float), x[60:].tolist()):
        layer = run.parameters["linear1"]
        scores = np.asarray(raw).reshape(30, 6) / 250 @ layer["weight"] + layer["bias"]
        expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(run.predict(raw), expected, rtol=1e-12)


def test_predictions_of_numbers_and_of_nothing():
    run = fit(line(), Sequential(Linear(1)))
    assert run.predict([[0.5], [1.0]]).shape == (2, 1)
    assert run.predict(np.zeros((0, 1))).shape == (0, 1)
    empty = fit(three_classes()).predict(np.zeros((0, 4)))
    assert (empty.shape, empty.dtype) == ((0, 3), np.float32)


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 4, 1), ()])
def test_samples_of_another_shape_are_refused(shape):
    run = fit(three_classes())
    with pytest.raises(ShapeError) as refused:
        run.predict(np.zeros(shape))
    assert "(N, 4)" in str(refused.value)
    assert str(shape) in str(refused.value)


def test_threads_do_not_change_what_is_learnt():
    sets = three_classes()
    one, two = (fit(sets, epochs=2, threads=threads, dtype=np.float64) for threads in (1, 2))
    for (_, a), (_, b) in zip(leaves(one.parameters), leaves(two.parameters), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("threads", [1, 2])
def test_matrix_products_use_the_threads_asked_for_while_training_alone(threads):
    def blas():
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    before, seen = blas(), []
    fit(three_classes(), threads=threads, on_step=lambda state, steps: seen.append(blas()))
    assert seen
    assert all(found == {threads} for found in seen)
    assert blas() == before


def test_the_baseline_fits_the_digit_as_a_number():
    sets = three_classes()
    run = fit(sets, "baseline", loss="squared_error", metrics=["accuracy", "squared_error"], epochs=20)
    found = run.test()
    assert found["squared_error"] == pytest.approx(found["loss"], rel=1e-5)
    nearest = np.rint(run.predict(sets.test.inputs)[:, 0])
    assert found["accuracy"] == np.mean(nearest == sets.test.targets)


def test_an_update_that_overflows_is_refused_and_the_parameters_before_it_are_kept():
    seen = []
    with pytest.raises(TrainingError, match=r"the updated parameter linear1\.weight is not finite.*step 1 of"):
        fit(three_classes(), optimizer=td.optim.SGD(1e300), on_step=lambda state, steps: seen.append(state))
    assert not seen


def test_the_memory_estimate_counts_what_the_optimiser_keeps(monkeypatch):
    count = sum(leaf.size for _, leaf in leaves(NETWORK.init((4,), seed=0)))
    largest = max(leaf.size for _, leaf in leaves(NETWORK.init((4,), seed=0)))
    enough = 7 * 4 * count + 8 * largest  # parameters, gradients, two means; the new of all but the gradients
    for available, refused in ((enough, False), (enough - 1, True)):
        monkeypatch.setattr("psutil.virtual_memory", lambda a=available: type("Memory", (), {"available": a}))
        if refused:
            with pytest.raises(MemoryLimitError, match="with 6 copies for training"):
                fit(three_classes(), optimizer=td.optim.Adam())
        else:
            fit(three_classes(), optimizer=td.optim.Adam())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "adam"}, "optimizer should be an optimiser such as"),
        ({"optimizer": td.optim.Adam}, "optimizer should be an optimiser such as"),
        ({"loss": td.losses.CrossEntropy}, "loss should be a name or a loss such as"),
        ({"threads": 0}, "threads must be at least 1"),
    ],
)
def test_what_is_no_optimiser_loss_or_network_is_refused(settings, message):
    with pytest.raises(TreadleError, match=message):
        fit(three_classes(), **settings)


def test_a_network_without_parameters_has_nothing_to_train():
    rows = Dataset(np.eye(3), np.arange(3), ("a", "b", "c"), "rows")
    with pytest.raises(ShapeError, match="no parameters to train: add a layer"):
        fit(Sets(rows, rows, rows, "rows", "made up"), Sequential(ReLU()))


def test_sets_must_be_sets():
    with pytest.raises(TreadleError, match=r"sets should be td\.data\.Sets.*found tuple"):
        td.fit(NETWORK, (np.zeros((3, 4)), np.zeros(3)), loss="cross_entropy", optimizer=SGD)


def test_a_single_metric_may_be_given_by_its_name():
    assert "accuracy" in fit(three_classes(), metrics="accuracy").test()


def test_a_run_prints_in_a_line():
    run = fit(three_classes(), epochs=2)
    assert repr(run).startswith("Run(Sequential(")
    assert "epoch 2, train_loss " in repr(run)
    assert "\n" not in repr(run)
