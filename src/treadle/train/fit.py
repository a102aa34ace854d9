"""`fit`: a network, data, a loss and an optimiser in; a run with its history, scores and predictions out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from treadle import kernels
from treadle.data import SCALES, Augmentation, Dataset, Encoding, Prefetch, Reading, Sets, Times, require_valid
from treadle.data.dataset import extent
from treadle.data.order import order_of
from treadle.data.polarity import Polarity, polarity_of
from treadle.errors import LossError, ShapeError, TreadleError, suggest
from treadle.losses import LOSSES, Loss
from treadle.metrics import METRICS, Metric
from treadle.nn import MODELS, Mode, Module, require_memory
from treadle.optim import OnPlateau, Optimizer, Plan, Schedule
from treadle.tensor import Tensor
from treadle.train.diagnosis import Diagnosis
from treadle.train.feed import Feed
from treadle.train.findings import Finding
from treadle.train.loop import State, evaluate, outputs_of, train_epoch
from treadle.train.signals import Whole
from treadle.train.step import Gradients, flat
from treadle.tree import Tree, leaves, tree_map

T = TypeVar("T")
STEP_STREAM = 0x57E9  # keeps the random numbers of steps apart from others drawn with the same seed


@dataclass(repr=False)
class Run:
    """A trained network with what is needed to judge and to use it.

    `encoding` is how the columns of a table became features.
    `input_dtype` and `input_range` tell the units of the training inputs, before scaling, and `polarity` whether images
    are light on dark; None where that is not known.
    `history` holds a dict for each epoch: epoch, train_loss (mean over the batches while they were trained on),
    validation_loss, validation_<metric>, learning_rate at its first step where there is a schedule, seconds of training
    without evaluation, and how many of them it waited for batches. `findings` are what a diagnosis found, `times` when
    the first batches were read and waited for.
    """

    network: Module
    parameters: Tree
    loss: Loss
    scale: Any
    metrics: tuple[Metric, ...]
    dtype: np.dtype[Any]
    seed: int
    input_shape: tuple[int, ...]
    classes: tuple[str, ...] | None = None
    encoding: Encoding | None = None
    threads: int = 1
    kernels: Any = field(default_factory=kernels.fastest)
    input_dtype: str = "float32"
    input_range: tuple[float, float] = (0.0, 1.0)
    polarity: Polarity | None = None
    sets: Sets | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    times: list[Times] = field(default_factory=list)
    step: int = 0

    def __repr__(self) -> str:
        last = (
            ", ".join(f"{name} {value:.4g}" for name, value in self.history[-1].items())
            if self.history
            else "untrained"
        )
        return f"Run({self.network}, {self.loss}, {self.step} steps; {last})"

    def test(self) -> dict[str, Any]:
        """Return loss and metrics on the test set, each metric with its 95 % interval as <metric>_interval.

        Raises:
            TreadleError: the run was loaded without its data.
        """
        if self.sets is None:
            raise TreadleError("this run has no data with it: load the sets and give them as run.sets")
        return score(self, self.sets.test)

    def predict(self, inputs: Any) -> np.ndarray[Any, np.dtype[Any]]:
        """Return a probability for each class (N, C), or the predicted numbers (N, 1).

        Args:
            inputs: (N, …) in the units of the training data, before scaling.

        Raises:
            ShapeError: the samples do not have the shape that the network takes.
        """
        samples = np.asarray(inputs)
        if samples.shape[1:] != self.input_shape:
            wanted = ", ".join(map(str, self.input_shape))
            raise ShapeError(f"samples to predict should have shape (N, {wanted}), found {samples.shape}")
        with kernels.use(self.kernels), kernels.with_threads(self.threads):
            outputs = outputs_of(self.network, self.parameters, samples, self.scale, self.dtype)
        return self.loss.predict(Tensor(outputs)).numpy()


class Interrupted(KeyboardInterrupt):
    """Training was interrupted; `run` holds the parameters after the last complete step, and the history."""

    def __init__(self, run: Run) -> None:
        super().__init__(f"training stopped after {run.step} steps; the run so far is in the attribute `run`")
        self.run = run


def score(run: Run, data: Dataset) -> dict[str, Any]:
    """Return loss and metrics of a run on a data set, each metric with its 95 % interval."""
    with kernels.use(run.kernels), kernels.with_threads(run.threads):
        value, samples = evaluate(run.network, run.parameters, run.loss, run.metrics, data, run.scale, run.dtype)
    result: dict[str, Any] = {"loss": value, "samples": len(data)}
    for metric in run.metrics:
        result[metric.name] = float(np.mean(samples[metric.name]))
        result[f"{metric.name}_interval"] = metric.interval(samples[metric.name])
    return result


def choose(kind: str, choices: Mapping[str, T], name: str) -> T:
    """Return the choice of that name, or raise TreadleError with the nearest name and all there are."""
    if name not in choices:
        raise TreadleError(f"no {kind} is called {name!r}: {suggest(name, choices)}")
    return choices[name]


def prepare(
    network: Module | str, loss: Loss | str, sets: Sets, seed: int, dtype: DTypeLike, copies: int = 1
) -> tuple[Module, Loss, Tree]:
    """Resolve names, check shapes, memory and the loss on one sample, and return network, loss and parameters.

    `copies` is how many times training will hold the parameters: themselves, gradients, the optimiser's state.

    Raises:
        ShapeError, MemoryLimitError, LossError, TreadleError: what does not fit, before any training.
    """
    loss = choose("loss", LOSSES, loss)() if isinstance(loss, str) else loss
    if not isinstance(loss, Loss):
        raise TreadleError(f"loss should be a name or a loss such as td.losses.CrossEntropy(), found {loss!r}")
    train = sets.train
    needed = loss.outputs(len(train.classes) if train.classes is not None else None)
    if isinstance(network, str):
        network = choose("network", MODELS, network)(needed)
    found = network.output_shape(train.shape)
    if found != (needed,):
        kind = "a score for each class" if needed > 1 else "one number"
        raise ShapeError(
            f"the network gives outputs of shape {found}, and {type(loss).__name__} needs ({needed},), {kind}: "
            f"give the last layer {needed} unit{'s' if needed > 1 else ''}, or choose another loss"
        )
    specification = network.parameters(train.shape)
    if not any(True for _ in leaves(specification)):
        raise ShapeError("the network has no parameters to train: add a layer that has some, such as Linear")
    require_memory(specification, dtype, copies)
    params = network.init(train.shape, seed=seed, dtype=dtype)
    sample = train[:1]
    tracked = tree_map(lambda leaf: Tensor(leaf, requires_grad=True), params)
    with np.errstate(all="ignore"):
        loss(network(tracked, sample.inputs[:].astype(dtype)), loss.targets(sample.targets, dtype))
    return network, loss, params


def fit(
    network: Module | str,
    sets: Sets,
    *,
    loss: Loss | str,
    optimizer: Optimizer,
    schedule: Sequence[Schedule | OnPlateau] | Schedule | OnPlateau = (),
    batch_size: int = 100,
    epochs: int = 1,
    seed: int = 0,
    scale: str = "minmax",
    shuffle: bool = True,
    drop_last: bool = False,
    augmentations: Sequence[Augmentation] = (),
    prefetch: Prefetch | None = None,
    metrics: Sequence[str] | None = None,
    dtype: DTypeLike = np.float32,
    threads: int = 1,
    parameters: Tree | None = None,
    on_step: Callable[[State, int], None] | None = None,
    on_epoch: Callable[[Run], None] | None = None,
    diagnose: bool = True,
    on_finding: Callable[[Finding], None] | None = None,
    reading: Callable[..., Reading] = Reading,
) -> Run:
    """Train a network and return the run.

    Args:
        network: a module, or the name of a preset.
        sets: train, validation and test set; the test set is not looked at.
        loss: a loss, or its name.
        optimizer: the update rule.
        schedule: of the learning rate: one, or several that follow one another.
        batch_size: samples in a step; the last batch of an epoch may be smaller, unless `drop_last`.
        epochs: passes over the training set.
        seed: of the initial parameters and of the order of samples.
        scale: name of the scaling, fitted on the training set alone; minmax, to 0..1, unless told otherwise.
        shuffle: a new order of the samples in each epoch; otherwise the order of the data.
        drop_last: leave out the last batch of an epoch where it is smaller than the others.
        augmentations: random changes of training images, one after the other, other ones in each epoch.
        prefetch: how batches are read ahead of their use; each when it is needed unless told otherwise.
        metrics: names; accuracy for classes and squared_error for numbers where none are given.
        dtype: float32 or float64.
        threads: of the compiled kernels, which give the same bits on any number; BLAS always has one.
        parameters: to begin with, in place of those made from the seed and of their form.
        on_step: called after each step with the state and the number of steps in an epoch.
        on_epoch: called after each epoch with the run so far.
        diagnose: look at some of the steps and note in `run.findings` what is wrong with the training.
        on_finding: called with each finding.
        reading: how the batches are read, in place of `Reading`, for measurements.

    Raises:
        TreadleError: a subclass says what does not fit, before the first step; TrainingError, during training.
        Interrupted: on Ctrl-C, with the run so far.

    >>> import numpy as np, treadle as td
    >>> x = np.linspace(-1, 1, 60).reshape(-1, 1)
    >>> rows = td.data.Dataset(x, 3 * x[:, 0] + 1, None, "line")
    >>> sets = td.data.Sets(rows[:40], rows[40:50], rows[50:], "line", "made up")
    >>> run = td.fit(
    ...     td.nn.Sequential(td.nn.Linear(1)), sets, loss="squared_error", scale="none",
    ...     optimizer=td.optim.SGD(0.5), batch_size=10, epochs=50, dtype=np.float64,
    ... )
    >>> run.predict(np.array([[2.0]])).round(3).tolist()
    [[7.0]]
    """
    require_settings(sets, batch_size=batch_size, epochs=epochs, threads=threads, seed=seed)
    if not isinstance(optimizer, Optimizer):
        raise TreadleError(f"optimizer should be an optimiser such as td.optim.SGD(lr=0.1), found {optimizer!r}")
    schedule = (schedule,) if isinstance(schedule, (Schedule, OnPlateau)) else tuple(schedule)
    for part in schedule:
        if not isinstance(part, (Schedule, OnPlateau)):
            raise TreadleError(f"a schedule should be one such as td.optim.Cosine(length=10), found {part!r}")
    used = len(sets.train) - (len(sets.train) % batch_size if drop_last else 0)
    if not used:
        raise TreadleError(
            f"drop_last leaves no batch: {len(sets.train)} samples are fewer than batch_size {batch_size}"
        )
    steps = -(-used // batch_size)
    plan = Plan(schedule, steps)
    if schedule and not hasattr(optimizer, "lr"):
        raise TreadleError(f"a schedule changes the setting lr of an optimiser, and {optimizer!r} has none")
    if isinstance(metrics, str):
        metrics = [metrics]
    names = metrics if metrics is not None else ["squared_error" if sets.train.classes is None else "accuracy"]
    chosen = tuple(choose("metric", METRICS, name) for name in names)
    network, loss, params = prepare(
        network,
        loss,
        sets,
        seed,
        dtype,
        copies=3 + 2 * optimizer.slots,  # the update is pure: new beside old
    )
    _require_metrics(chosen, loss, sets.train.classes)
    _require_batches(network, params, sets.train[:used], batch_size, np.dtype(dtype))
    fitted = choose("scaling", SCALES, scale)().fit(sets.train.inputs)
    if parameters is not None:
        require_same_form(params, parameters)
        params = parameters
    specification = dict(leaves(network.parameters(sets.train.shape)))
    trained = {path for path, parameter in specification.items() if parameter.trained}
    vector, params = flat(params, trained)
    state = State(params, vector, optimizer.init(vector))
    feed = Feed(sets.train, fitted, loss, np.dtype(dtype), augmentations, seed)
    gradients = Gradients(network, loss, params, trained, feed)
    reader = reading(feed, batch_size, prefetch, batch_last=gradients.batch_last)
    run = Run(
        network=network,
        parameters=params,
        loss=loss,
        scale=fitted,
        metrics=chosen,
        dtype=np.dtype(dtype),
        seed=seed,
        input_shape=sets.train.shape,
        classes=sets.train.classes,
        encoding=sets.encoding,
        threads=threads,
        input_dtype=str(sets.train.inputs.dtype),
        input_range=extent(sets.train.inputs),
        polarity=polarity_of(sets.train.inputs),
        sets=sets,
        times=reader.times,
    )
    order = order_of(sets.train, seed, shuffle)
    diagnosis = None
    if diagnose:
        outputs = loss.outputs(len(sets.train.classes) if sets.train.classes is not None else None)
        diagnosis = Diagnosis(gradients, outputs, batch_size, epochs * steps, on_finding)
        run.findings = diagnosis.findings

    first_key = int(np.random.SeedSequence([seed, STEP_STREAM]).generate_state(1, np.uint64)[0])

    def key(step: int) -> int:
        return (first_key + step) % 2**64

    def after_step(state: State) -> None:
        if on_step:
            on_step(state, steps)

    whole = Whole()
    try:
        # overflow shows as a loss that is not finite, which stops the run and says where
        with (
            whole.installed(),
            kernels.use(run.kernels),
            kernels.with_threads(threads),
            np.errstate(all="ignore"),
            reader,
        ):
            for epoch in range(epochs):
                state.epoch = epoch
                begun, waited = time.perf_counter(), reader.waited
                indices = order.indices(epoch)[:used]
                parts = [indices[i : i + batch_size] for i in range(0, len(indices), batch_size)]
                reader.begin(parts, epoch)
                losses = [past["validation_loss"] for past in run.history]
                factor = partial(plan.factor, losses=losses) if schedule else None
                begins_with = {"learning_rate": optimizer.lr * factor(state.step)} if factor else {}
                train_loss = train_epoch(
                    optimizer, gradients, state, parts, reader, key, after_step, whole, factor, diagnosis
                )
                seconds, waited = time.perf_counter() - begun, reader.waited - waited
                run.parameters, run.step = tree_map(np.copy, state.params), state.step
                value, samples = evaluate(network, state.params, loss, chosen, sets.validation, fitted, run.dtype)
                record: dict[str, Any] = {"epoch": epoch + 1, "train_loss": train_loss, "validation_loss": value}
                record |= {f"validation_{name}": float(np.mean(samples[name])) for name in samples}
                run.history.append({**record, **begins_with, "seconds": seconds, "waited": waited})
                if diagnosis:
                    diagnosis.validated(value)
                if on_epoch:
                    on_epoch(run)
    except KeyboardInterrupt:
        run.parameters, run.step = tree_map(np.copy, state.params), state.step
        raise Interrupted(run) from None
    return run


def require_settings(sets: Any, **numbers: Any) -> None:
    """Raise TreadleError unless sets are without errors, and numbers are whole and at least 1, seed at least 0."""
    if not isinstance(sets, Sets):
        raise TreadleError(
            f"sets should be td.data.Sets(train, validation, test, name, origin), found {type(sets).__name__}"
        )
    require_valid(sets)
    for name, number in numbers.items():
        least = 0 if name == "seed" else 1
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
            raise TreadleError(f"{name} should be a whole number, found {number!r}")
        if number < least:
            raise TreadleError(f"{name} must be at least {least}, found {number}")


def require_same_form(made: Tree, given: Tree) -> None:
    """Raise ShapeError unless parameters have the paths, shapes and dtypes of those made for the network."""
    wanted, found = (
        {path: f"{np.shape(leaf)} {np.asarray(leaf).dtype}" for path, leaf in leaves(tree)} for tree in (made, given)
    )
    for path in wanted | found:
        if wanted.get(path) != found.get(path):
            raise ShapeError(
                f"the parameters given do not fit the network: {path} should have shape "
                f"{wanted.get(path, 'none, for it is unknown')}, found {found.get(path, 'nothing of that name')}"
            )


def _require_batches(network: Module, params: Tree, train: Dataset, batch_size: int, dtype: np.dtype[Any]) -> None:
    """Raise ShapeError where training has a batch of one sample and the network takes none, as with BatchNorm."""
    if (len(train) % batch_size or batch_size) != 1:
        return
    mode = Mode(training=True, key=np.zeros((), np.uint64), updates={})
    try:
        with np.errstate(all="ignore"):
            network(params, train.inputs[:1].astype(dtype), mode)
    except ShapeError as error:
        sizes = (size for size in range(2, len(train) + 1) if len(train) % size != 1)
        nearest = min(sizes, key=lambda size: abs(size - batch_size), default=0)
        fix = f"choose another batch_size, such as {nearest}" if nearest else "train on more samples"
        batch = "every batch" if batch_size == 1 else "the last batch of an epoch"
        raise ShapeError(
            f"{batch} has one sample, for {len(train)} samples come in batches of {batch_size}: {fix}; {error}"
        ) from error


def _require_metrics(metrics: Sequence[Metric], loss: Loss, classes: tuple[str, ...] | None) -> None:
    for metric in metrics:
        if metric.name == "accuracy" and classes is None:
            raise LossError("the metric accuracy counts right classes, and the targets of this data are numbers")
        if metric.name != "accuracy" and loss.compares == "classes":
            raise LossError(f"the metric {metric.name} compares numbers, and {type(loss).__name__} predicts classes")
