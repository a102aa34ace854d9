"""Diagnosis: which steps of a training are looked at, and whom findings are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from treadle.train.finding import Finding
from treadle.train.findings import Judge
from treadle.train.look import Look, Lookout
from treadle.train.step import Gradients

if TYPE_CHECKING:
    from treadle.train.loop import State

FIRST_LOOKS = (1, 4, 16, 64, 150, 300)  # steps; then one every INTERVAL
INTERVAL = 1_000  # steps, or 400 for each batch that a look takes: a pass on the tape costs as much as a few steps


class Diagnosis:
    """Looks at steps of a training, few enough to cost some per cent of one that takes some seconds, and judges them.

    A kind of finding is told once. Which steps are looked at depends on their numbers alone, so that the same training
    gives the same findings.

    Args:
        gradients: of the network and loss that are trained.
        outputs: of the network.
        batch_size: of training.
        steps: that training will take.
        on_finding: called with each finding.
    """

    def __init__(
        self,
        gradients: Gradients,
        outputs: int,
        batch_size: int,
        steps: int,
        on_finding: Callable[[Finding], None] | None = None,
    ) -> None:
        self.findings: list[Finding] = []
        self._on_finding = on_finding
        self._lookout = Lookout(gradients, len(gradients.feed.inputs), batch_size)
        self._judge = Judge(gradients, outputs, steps)
        self._interval = max(INTERVAL, 400 * self._lookout.count)
        self._steps = steps
        self._total, self._samples = 0.0, 0
        self._now = False

    def begin(self, state: State) -> None:
        """Be told of a step before its update."""
        step = state.step + 1
        self._now = step in FIRST_LOOKS or step % self._interval == 0 or step == self._steps
        if self._now:
            self._lookout.begin(state)

    def end(self, state: State, samples: int) -> None:
        """Be told of it after its update, with the samples in its batch."""
        self._total += state.loss * samples
        self._samples += samples
        if not self._now:
            return
        self._judge.looks.append(self._lookout.end(state, self._total / self._samples, self._samples))
        self._total, self._samples = 0.0, 0
        for finding in self._judge.findings({finding.kind for finding in self.findings}):
            self._tell(finding)

    def validated(self, loss: float) -> None:
        """Be told of the loss on the validation set after an epoch."""
        if not self.findings and (finding := self._judge.learnt_by_heart(loss)):
            self._tell(finding)

    def state(self) -> dict[str, Any]:
        """Return what was seen so far, as plain values."""
        return {
            "total": self._total,
            "samples": self._samples,
            "findings": [finding.to_dict() for finding in self.findings],
            "looks": [asdict(look) for look in self._judge.looks],
            **self._lookout.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self._total, self._samples = state["total"], state["samples"]
        self.findings[:] = [Finding.from_dict(finding) for finding in state["findings"]]
        self._judge.looks = [Look.from_dict(look) for look in state["looks"]]
        self._lookout.restore(state)

    def _tell(self, finding: Finding) -> None:
        self.findings.append(finding)
        if self._on_finding:
            self._on_finding(finding)
