"""`fit`: a network, data, a loss and an optimiser in; a run with its history, scores and predictions out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike

from treadle import kernels
from treadle.data import SCALES, Augmentation, Prefetch, Reading, Sets
from treadle.data.dataset import extent
from treadle.data.order import order_of
from treadle.data.polarity import polarity_of
from treadle.errors import TrainingError, TreadleError
from treadle.losses import Loss
from treadle.metrics import METRICS, require_fit
from treadle.nn import Module
from treadle.optim import Averaging, OnPlateau, Optimizer, Plan, Schedule
from treadle.train.averaging import Average, settle_running
from treadle.train.diagnosis import Diagnosis
from treadle.train.early_stopping import stopped_early
from treadle.train.feed import Feed
from treadle.train.finding import Finding
from treadle.train.loop import State, evaluate, train_epoch
from treadle.train.prepare import (
    choose,
    prepare,
    require_batches,
    require_same_form,
    require_settings,
)
from treadle.train.progress import Progress, filled, flattened
from treadle.train.run import Interrupted, Run
from treadle.train.signals import Whole
from treadle.train.step import Gradients, flat
from treadle.tree import Tree, leaves, tree_map

STEP_STREAM = 0x57E9  # keeps the random numbers of steps apart from others drawn with the same seed
WEIGHTS = {"best": "of the epoch with the lowest validation loss", "last": "after the last step"}


def fit(
    network: Module | str,
    sets: Sets,
    *,
    loss: Loss | str,
    optimizer: Optimizer,
    schedule: Sequence[Schedule | OnPlateau] | Schedule | OnPlateau = (),
    batch_size: int = 100,
    epochs: int = 1,
    patience: int | None = None,
    averaging: Averaging | None = None,
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
    weights: Literal["best", "last"] = "best",
    start: Progress | None = None,
    on_step: Callable[[State, int], None] | None = None,
    on_gradients: Callable[[State, Gradients], None] | None = None,
    on_epoch: Callable[[Run], object] | None = None,
    diagnose: bool = True,
    on_finding: Callable[[Finding], None] | None = None,
    on_progress: Callable[[Progress, Run], None] | None = None,
    progress_every: int | None = None,
    evaluate_train: bool = False,
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
        patience: epochs without a lower validation loss after which training stops early; None: it does not.
        averaging: of the parameters, such as `td.optim.EMA(0.999)`; what the run is used with then is the average.
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
        weights: which the run is used with: those of the epoch with the lowest validation loss, or the last ones.
        start: progress of a training with the same arguments, to go on from; it may have had fewer epochs.
        on_step: called after each step with the state, whose parameters are no average, and the steps in an epoch.
        on_gradients: called in each step before its update, with the state and the gradients, by path in their `tree`:
            to look at, for both are what training goes on with.
        on_epoch: called after each epoch with the run so far; training ends where it returns True.
        diagnose: look at some of the steps and note in `run.findings` what is wrong with the training.
        on_finding: called with each finding.
        on_progress: called with the progress, which can be saved and given as `start`, and the run: after each epoch,
            before `on_epoch`, and after each `progress_every` steps, within an epoch.
        progress_every: steps; None for epochs alone.
        evaluate_train: also compute the loss on the training set after each epoch, as `train_loss_after`: that of the
            weights it ends with, where `train_loss` is that of weights on their way. It takes a pass over the set.
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

    `on_step`, `on_epoch` and `on_finding` are plain functions, which is all that a callback needs to be:

    >>> def enough(run):
    ...     return run.history[-1]["validation_loss"] < 0.01
    >>> run = td.fit(
    ...     td.nn.Sequential(td.nn.Linear(1)), sets, loss="squared_error", scale="none",
    ...     optimizer=td.optim.SGD(0.5), batch_size=10, epochs=50, on_epoch=enough,
    ... )
    >>> len(run.history) < 50, run.stopped_early
    (True, 'on_epoch returned True')
    """
    least_one = {} if patience is None else {"patience": patience}
    require_settings(sets, batch_size=batch_size, epochs=epochs, threads=threads, seed=seed, **least_one)
    if averaging is not None:
        if not isinstance(averaging, Averaging):
            raise TreadleError(f"averaging should be one such as td.optim.EMA(0.999), found {averaging!r}")
        averaging.require_begun(epochs)
    if not isinstance(optimizer, Optimizer):
        raise TreadleError(f"optimizer should be an optimiser such as td.optim.SGD(lr=0.1), found {optimizer!r}")
    schedule = (schedule,) if isinstance(schedule, (Schedule, OnPlateau)) else tuple(schedule)
    for part in schedule:
        if not isinstance(part, (Schedule, OnPlateau)):
            raise TreadleError(f"a schedule should be one such as td.optim.Cosine(length=10), found {part!r}")
    used_samples = len(sets.train) - (len(sets.train) % batch_size if drop_last else 0)
    if not used_samples:
        raise TreadleError(
            f"drop_last leaves no batch: {len(sets.train)} samples are fewer than batch_size {batch_size}"
        )
    steps = -(-used_samples // batch_size)
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
        copies=3 + 2 * optimizer.slots + (averaging is not None),  # the update is pure: new beside old
    )
    classes = None if sets.train.classes is None else len(sets.train.classes)
    for metric in chosen:
        require_fit(metric, loss.compares, classes, type(loss).__name__)
    require_batches(network, params, sets.train[:used_samples], batch_size, np.dtype(dtype))
    fitted = choose("scaling", SCALES, scale)().fit(sets.train.inputs)
    if parameters is not None:
        require_same_form(params, parameters)
        params = parameters
    specification = dict(leaves(network.parameters(sets.train.shape)))
    trained = {path for path, parameter in specification.items() if parameter.trained}
    if start is not None:
        params = filled(params, flattened(start.parameters), "parameters")
    vector, params = flat(params, trained)
    state = State(params, vector, optimizer.init(vector))
    if start is not None:
        state.optimizer = filled(state.optimizer, flattened(start.optimizer), "state of the optimizer")
        for name in ("epoch", "batch", "step", "total", "samples"):
            setattr(state, name, getattr(start, name))
    average = None
    if averaging is not None:
        past = start.average if start is not None else None
        average = Average(averaging, params, vector, trained, state.epoch, state.step, past)
    elif start is not None and start.average is not None:
        raise TrainingError("the progress to go on from has an average, and this training takes none: give averaging")
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
        step=state.step,
    )
    best: Tree | None = None
    if start is not None:
        run.history, run.weights_epoch = [dict(past) for past in start.history], start.weights_epoch
        if start.epoch < epochs:
            run.stopped_early = stopped_early([past["validation_loss"] for past in run.history], patience)
        if weights == "best" and start.best is not None:
            best = filled(params, flattened(start.best), "best parameters")
    order = order_of(sets.train, seed, shuffle)
    diagnosis = None
    if diagnose:
        diagnosis = Diagnosis(gradients, loss.outputs(classes), batch_size, epochs * steps, on_finding)
        run.findings = diagnosis.findings
        if start is not None and start.diagnosis is not None:
            diagnosis.restore(start.diagnosis)

    first_key = int(np.random.SeedSequence([seed, STEP_STREAM]).generate_state(1, np.uint64)[0])

    def key(step: int) -> int:
        return (first_key + step) % 2**64

    began = waited = 0.0

    def progress() -> Progress:
        return Progress(
            state.params,
            state.optimizer,
            state.epoch,
            state.batch,
            state.step,
            state.total,
            state.samples,
            time.perf_counter() - began,
            reader.waited - waited,
            run.history,
            diagnosis.state() if diagnosis else None,
            best,
            average.params if average else None,
            run.weights_epoch,
        )

    def used() -> Tree:
        """Return the parameters that a run is used with, or the best are chosen from."""
        return state.params if average is None or average.params is None else average.params

    def settle() -> None:
        """Let the run be what training has come to."""
        run.parameters = tree_map(np.copy, used()) if best is None else best
        run.step = state.step

    def settle_means(params: Tree) -> None:
        """Compute the running means of averaged parameters on the batches of the epoch."""
        loaded = (gradients.load(part, state.epoch)[0] for part in batches_of(state.epoch))
        settle_running(network, params, ((inputs, key(state.step + n)) for n, inputs in enumerate(loaded)))

    def batches_of(epoch: int) -> list[Any]:
        indices = order.indices(epoch)[:used_samples]
        return [indices[i : i + batch_size] for i in range(0, len(indices), batch_size)]

    def losses() -> list[float]:
        return [past["validation_loss"] for past in run.history]

    def after_step(state: State) -> None:
        if on_progress and progress_every and state.step % progress_every == 0 and state.batch < steps:
            on_progress(progress(), run)
        if on_step:
            on_step(state, steps)

    settle()
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
            began, waited = time.perf_counter(), reader.waited
            if start is not None:
                began, waited = began - start.seconds, waited - start.waited
            while state.epoch < epochs and not run.stopped_early:
                parts = batches_of(state.epoch)[state.batch :]
                reader.begin(parts, state.epoch)
                factor = partial(plan.factor, losses=losses()) if schedule else None
                first = state.step - state.batch
                begins_with = {"learning_rate": optimizer.lr * factor(first)} if factor else {}
                train_epoch(
                    optimizer,
                    gradients,
                    state,
                    parts,
                    reader,
                    key,
                    after_step,
                    whole,
                    factor,
                    diagnosis,
                    average,
                    on_gradients,
                )
                at_end = average.at_end(state.epoch + 1, settle_means) if average else None
                seconds, waiting = time.perf_counter() - began, reader.waited - waited
                tried = state.params if at_end is None else at_end
                value, samples = evaluate(network, tried, loss, chosen, sets.validation, fitted, run.dtype)
                record: dict[str, Any] = {"epoch": state.epoch + 1, "train_loss": state.total / state.samples}
                if evaluate_train:
                    after, _ = evaluate(network, state.params, loss, (), sets.train, fitted, run.dtype)
                    record |= {"train_loss_after": after}
                record |= {"validation_loss": value}
                record |= {f"validation_{name}": float(np.mean(samples[name])) for name in samples}
                with whole:
                    before = [past for past in losses() if past == past]
                    run.history.append({**record, **begins_with, "seconds": seconds, "waited": waiting})
                    if average:
                        average.accept()
                    if weights == "last":
                        run.weights_epoch = state.epoch + 1
                    elif best is None or value < min(before, default=np.inf):
                        best, run.weights_epoch = tree_map(np.copy, used()), state.epoch + 1
                    state.epoch, state.batch, state.total, state.samples = state.epoch + 1, 0, 0.0, 0
                    began, waited = time.perf_counter(), reader.waited
                    if diagnosis:
                        diagnosis.validated(value)
                    settle()
                    run.stopped_early = stopped_early(losses(), patience) if state.epoch < epochs else None
                if on_progress:
                    on_progress(progress(), run)
                ended = on_epoch(run) if on_epoch else None
                if isinstance(ended, (bool, np.bool_)) and ended and state.epoch < epochs:
                    run.stopped_early = "on_epoch returned True"
    except KeyboardInterrupt as stop:
        settle()
        run.progress = progress()
        raise Interrupted(run, stop) from None
    run.progress = progress()
    return run
