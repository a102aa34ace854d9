"""Logs for other programs: TensorBoard's event files and runs of MLflow, written by their own libraries.

A log holds the recipe, the figures of each epoch, findings, and the test score. A run that is gone on with has the log
of the run that was never ended: what was logged after its checkpoint is put right.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from time import time as now
from time import time_ns
from types import TracebackType
from typing import Any, ClassVar

from treadle.errors import RunError
from treadle.recipe import Recipe
from treadle.runs.files import replace
from treadle.train import Finding, Interrupted, Progress, Run

TENSORBOARD, MLFLOW = "tensorboard", "mlflow-run-id"  # folder and file in that of a run


def require(recipe: Recipe) -> None:
    """Raise RunError where what a recipe logs to is not installed."""
    for name in recipe.saving.log_to or ():
        for key, value in TRACKERS[name].environment.items():
            os.environ.setdefault(key, value)
        for module in TRACKERS[name].modules:
            try:
                import_module(module)
            except ImportError as error:
                raise RunError(
                    f"saving.log_to: {name} needs {module.partition('.')[0]}, which cannot be imported ({error}): "
                    f'install it with pip install "treadle[{name}]"'
                ) from error


class Trackers:
    """All that a recipe logs to, for a `with` block around the training.

    Args:
        folder: of the run.
        recipe: that is carried out.
        start: progress that it goes on from, or None.
    """

    def __init__(self, folder: Path, recipe: Recipe, start: Progress | None) -> None:
        require(recipe)
        self._all = [TRACKERS[name](folder, recipe) for name in recipe.saving.log_to or ()]
        self._start = start
        self._rate = getattr(recipe.build_optimizer(), "lr", None)
        self._stack = ExitStack()

    def __enter__(self) -> Trackers:
        with ExitStack() as stack:
            for tracker in self._all:
                tracker.begin()
                stack.push(tracker)
            if self._start is not None:
                for record in self._start.history:
                    self.epoch(record)
                for values in (self._start.diagnosis or {}).get("findings", []):
                    self.finding(Finding.from_dict(values))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def epoch(self, record: Mapping[str, Any]) -> None:
        """Log the figures of an epoch at its number, with its learning rate."""
        figures = {name: float(value) for name, value in record.items() if name != "epoch"}
        if self._rate is not None:
            figures = {"learning_rate": self._rate, **figures}
        for tracker in self._all:
            tracker.figures(figures, record["epoch"])

    def finding(self, finding: Finding) -> None:
        """Log what looks wrong with the training, at the step after which it was found."""
        for tracker in self._all:
            tracker.text(f"finding/{finding.kind}", str(finding), finding.step)

    def end(self, run: Run) -> None:
        """Log the test score at the epoch of its weights, and why training ended early, if it did."""
        test = dict(run.tested or {})
        epoch = test.pop("weights_epoch", None) or len(run.history)
        figures: dict[str, float] = {}
        for name, value in test.items():
            ends = zip(("_low", "_high"), value, strict=True) if isinstance(value, (list, tuple)) else [("", value)]
            figures |= {f"test_{name}{end}": float(number) for end, number in ends if number is not None}
        for tracker in self._all:
            tracker.figures(figures, epoch)
            if run.stopped_early:
                tracker.text("stopped_early", run.stopped_early, len(run.history))


class Tracker(ABC):
    """A log of one kind, in a `with` block around the training."""

    modules: ClassVar[tuple[str, ...]]  # that must be there
    environment: ClassVar[dict[str, str]] = {}  # that they are imported with, where the user has set nothing else

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.folder, self.recipe = folder, recipe

    @abstractmethod
    def begin(self) -> None:
        """Open the log, or that of the run before it was ended, and log the recipe."""

    @abstractmethod
    def figures(self, figures: Mapping[str, float], epoch: int) -> None:
        """Log figures at an epoch, counted from 1; those that are there already stay as they are."""

    @abstractmethod
    def text(self, name: str, text: str, time: int) -> None:
        """Log a text at an epoch or step."""

    @abstractmethod
    def close(self, status: str) -> None:
        """Close the log: FINISHED, KILLED or FAILED."""

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close("FINISHED")
            return
        with suppress(RunError):  # the error that is told must not be lost for one of telling it
            self.close("KILLED" if isinstance(error, Interrupted) else "FAILED")

    def parameters(self) -> dict[str, Any]:
        """Return the recipe as one value for each stage.key."""
        return {
            name: value if isinstance(value, (bool, int, float, str)) else str(value)
            for name, value in self.recipe.settings().items()
        }


class TensorBoard(Tracker):
    """Event files in the run folder; each time a run is gone on with begins a new one, which holds all of the log."""

    # without EventFileWriter, which loads all of TensorFlow where that is installed
    modules = ("tensorboard.summary.writer.record_writer", "tensorboard.plugins.hparams.plugin_data_pb2")

    def begin(self) -> None:
        """Open a new file, whose first event tells readers to drop those of the files before."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        path = self.folder / TENSORBOARD / f"events.out.tfevents.{time_ns() // 1000:017d}.{os.getpid()}.treadle"
        with self._told():
            path.parent.mkdir(exist_ok=True)
            self._file = path.open("xb")
        self._writer = RecordWriter(self._file)
        self._event(Event(file_version="brain.Event:2"))
        self._event(Event(step=0, session_log=SessionLog(status=SessionLog.START)))
        self._hyperparameters()
        self.text("recipe", f"```\n{self.recipe.to_toml()}```", 0)

    def figures(self, figures: Mapping[str, float], epoch: int) -> None:
        """Log figures as scalars."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in figures.items()]
        self._event(Event(step=epoch, summary=Summary(value=values)))

    def text(self, name: str, text: str, time: int) -> None:
        """Log a text for the text plugin."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.plugins.text.metadata import create_summary_metadata
        from tensorboard.util.tensor_util import make_tensor_proto

        value = Summary.Value(
            tag=name,
            metadata=create_summary_metadata(display_name="", description=""),
            tensor=make_tensor_proto([text.encode("utf-8")]),
        )
        self._event(Event(step=time, summary=Summary(value=[value])))

    def close(self, status: str) -> None:
        """Log how the run ended, for the hparams plugin, and close the file."""
        from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

        try:
            ended = plugin_data_pb2.SessionEndInfo(
                status=api_pb2.STATUS_SUCCESS if status == "FINISHED" else api_pb2.STATUS_FAILURE,
                end_time_secs=now(),
            )
            self._hparams("_hparams_/session_end_info", session_end_info=ended)
        finally:
            self._file.close()

    def _hyperparameters(self) -> None:
        from tensorboard.plugins.hparams import plugin_data_pb2

        info = plugin_data_pb2.SessionStartInfo(start_time_secs=now())
        for name, value in self.parameters().items():
            if isinstance(value, bool):
                info.hparams[name].bool_value = value
            elif isinstance(value, (int, float)):
                info.hparams[name].number_value = value
            else:
                info.hparams[name].string_value = value
        self._hparams("_hparams_/session_start_info", session_start_info=info)

    def _hparams(self, tag: str, **info: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.plugins.hparams import metadata, plugin_data_pb2

        described = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**info))
        value = Summary.Value(tag=tag, metadata=described, tensor=metadata.NULL_TENSOR)
        self._event(Event(step=0, summary=Summary(value=[value])))

    def _event(self, event: Any) -> None:
        event.wall_time = now()
        with self._told():
            self._writer.write(event.SerializeToString())
            self._file.flush()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(
                f"{self.folder / TENSORBOARD}: cannot be written: {error.strerror or error}; free space or fix it, "
                "then go on with treadle resume"
            ) from error


class MLflow(Tracker):
    """A run of MLflow, in the store of MLFLOW_TRACKING_URI, and the experiment of MLFLOW_EXPERIMENT_NAME or treadle."""

    modules = ("mlflow", "sqlalchemy", "alembic")
    environment: ClassVar[dict[str, str]] = {
        "MLFLOW_DISABLE_TELEMETRY": "true",  # else it tells its makers of each use
        "MLFLOW_LOGGING_LEVEL": "WARNING",
    }

    def begin(self) -> None:
        """Make the run, or open the one whose id is in the run folder."""
        from mlflow import MlflowClient
        from mlflow.entities import Param

        path = self.folder / MLFLOW
        with self._told():
            self._client = MlflowClient()
            self._id = path.read_text(encoding="utf-8").strip() if path.exists() else self._make()
            data = self._client.get_run(self._id).data
            self._client.update_run(self._id, status="RUNNING")
            replace(path, self._id.encode())
            self._had = {
                (name, one.step) for name in data.metrics for one in self._client.get_metric_history(self._id, name)
            }
            params = {name: str(value) for name, value in self.parameters().items()}
            new = [Param(name, value) for name, value in params.items() if name not in data.params]
            self._client.log_batch(self._id, params=new)
            for name, value in params.items():
                if data.params.get(name, value) != value:  # which MLflow lets nobody change
                    self._client.set_tag(self._id, f"resumed.{name}", value)

    def _make(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "treadle")
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self._client.create_experiment(name)
        return str(self._client.create_run(experiment, run_name=self.folder.resolve().name).info.run_id)

    def figures(self, figures: Mapping[str, float], epoch: int) -> None:
        """Log figures as metrics."""
        from mlflow.entities import Metric

        at = time_ns() // 1_000_000
        new = [Metric(name, value, at, epoch) for name, value in figures.items() if (name, epoch) not in self._had]
        with self._told():
            if new:
                self._client.log_batch(self._id, metrics=new)

    def text(self, name: str, text: str, time: int) -> None:  # noqa: ARG002 - a tag has no time
        """Log a text as a tag."""
        with self._told():
            self._client.set_tag(self._id, name, text)

    def close(self, status: str) -> None:
        """Tell how the run ended."""
        with self._told():
            self._client.set_terminated(self._id, status)

    @contextmanager
    def _told(self) -> Iterator[None]:
        from mlflow.exceptions import MlflowException

        try:
            yield
        except (OSError, MlflowException) as error:
            raise RunError(
                f"MLflow cannot log: {error}; set MLFLOW_TRACKING_URI to the store where this run began, or begin "
                "in the folder of its mlflow.db, then go on with treadle resume"
            ) from error


TRACKERS: dict[str, type[Tracker]] = {"tensorboard": TensorBoard, "mlflow": MLflow}
