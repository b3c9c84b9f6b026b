"""A run at one moment: KFP's word for its state, and its tasks as Argo's Workflow or else KFP's API has them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from autoencoders.errors import UserError
from pipeline import times
from pipeline.cluster.connection import Connection
from pipeline.cluster.failures import Missing
from pipeline.cluster.kfp_tasks import TaskList, read_tasks
from pipeline.cluster.kube import Kube
from pipeline.cluster.nodes import Node, workflow_nodes
from pipeline.cluster.spec import Spec, read_spec
from pipeline.cluster.states import OVER, State, TaskView
from pipeline.cluster.view import Context, view
from pipeline.times import moment

ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
LAG = timedelta(seconds=90)
"""KFP's server learns of what Argo does within this time, also on a busy cluster."""
LONG_LIST = 80
"""KFP's list of tasks may stand still from this length on; the shortest that was seen to had 96 of Argo's nodes."""
QUIET = timedelta(minutes=5)
"""After this time without a change, a long list may stand still, or a task may take long."""
SLOW = 30.0
"""Seconds after which the events of a pod whose container is being made are read."""
MAX_PODS = 5
"""Pods whose events are read."""
OR_REUSED = "or reused"
"""The note of tasks of a succeeded run whose end KFP's list of tasks does not have."""
WORDS = {
    None: "not started yet", "PENDING": "not started yet", "RUNNING": "running", "PAUSED": "paused",
    "CANCELING": "being stopped", "SUCCEEDED": "succeeded", "SKIPPED": "succeeded", "FAILED": "failed",
    "CANCELED": "terminated",
}  # fmt: skip


@dataclass(frozen=True)
class Snapshot:
    """A run at one moment."""

    answer: dict[str, Any]
    """What KFP's API answers of the run."""
    spec: Spec
    tasks: Sequence[TaskView]
    at: datetime
    no_workflow: str
    """Why Argo's Workflow cannot be read; empty if it is what `tasks` were read from."""
    listed: TaskList
    """KFP's own list of tasks."""
    message: str = ""
    """What Argo says of the Workflow as a whole."""

    @property
    def name(self) -> str:
        """The run's."""
        return str(self.answer.get("display_name") or self.answer.get("run_id"))

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        return self.answer.get("state") in ENDED

    @property
    def word(self) -> str:
        """The run's state."""
        return state_word(self.answer)

    @property
    def began(self) -> datetime | None:
        """When the run was sent."""
        return moment(self.answer.get("created_at"))

    @property
    def ended(self) -> datetime | None:
        """When the run ended."""
        return moment(self.answer.get("finished_at")) if self.is_over else None

    @property
    def no_workflow_line(self) -> str:
        """What cannot be seen, and why."""
        return f"Why a pod waits or failed cannot be seen: {self.no_workflow}."

    @property
    def is_behind(self) -> bool:
        """Whether the run has ended, and KFP's list of tasks, which is all there is, has not."""
        return self.is_over and bool(self.no_workflow) and not self.listed.is_whole

    @property
    def frozen_since(self) -> datetime | None:
        """Since when KFP's list of tasks, if it is all there is, stands still while the run goes on.

        Argo compresses its nodes when they are more than 1 MiB, and KFP's server does not decompress them. Executions,
        which it has from another source, still change.
        """
        changed = self.listed.changed
        if not self.no_workflow or changed is None:
            return None
        went_on = self.listed.executions and self.listed.executions[-1] > changed + LAG
        left_behind = self.is_behind and self.ended and self.at > self.ended + LAG
        return changed if went_on or left_behind else None

    @property
    def quiet_since(self) -> datetime | None:
        """Since when a long list of KFP's, if it is all there is, has not changed: it may stand still."""
        changed = self.listed.changed
        is_quiet = changed and not self.is_over and self.at - changed > QUIET
        return changed if self.no_workflow and is_quiet and len(self.listed.nodes) >= LONG_LIST else None


def state_word(run: dict[str, Any]) -> str:
    """Return the state in KFP's answer for a run: KFP calls a run failed that was stopped."""
    state = run.get("state")
    return "terminated" if state == "FAILED" and stopped_at(run) else WORDS.get(state, str(state))


def stopped_at(run: dict[str, Any]) -> datetime | None:
    """Return when somebody had the run stopped."""
    history = run.get("state_history") or ()
    return next((moment(entry.get("update_time")) for entry in history if entry.get("state") == "CANCELING"), None)


class Watcher:
    """Takes snapshots of one run."""

    def __init__(self, connection: Connection, run_id: str) -> None:
        self.connection, self.run_id = connection, run_id
        self.kube = Kube(connection.pods_namespace)
        self._spec: Spec | None = None

    def snapshot(self) -> Snapshot:
        """Return the run's present state; raise `UserError` if KFP does not give it."""
        try:
            run = self.connection.get(f"runs/{quote(self.run_id, safe='')}")
        except Missing:
            raise UserError(f"{self.connection.name}: there is no run {self.run_id!r}.") from None
        if self._spec is None:
            self._spec = read_spec(run, self._pipeline_spec(run))
        now, workflow = times.now(), self.kube.workflow(self.run_id)
        listed = read_tasks(run)
        nodes = workflow_nodes(workflow) if workflow else listed.nodes
        context = Context(
            self._spec, self.kube.namespace, now, has_reasons=workflow is not None, stopped=stopped_at(run),
            is_live=workflow is not None or len(nodes) < LONG_LIST,
            mounts=self._mounts(nodes, now) if workflow else {},
        )  # fmt: skip
        message = (workflow or {}).get("status", {}).get("message") or ""
        snapshot = Snapshot(run, self._spec, view(nodes, context), now, self.kube.no_workflow, listed, message)
        return replace(snapshot, tasks=[_settled(task, snapshot) for task in snapshot.tasks])

    def _pipeline_spec(self, run: dict[str, Any]) -> dict[str, Any] | None:
        """Return the run's pipeline spec: its own, or that of the version of a pipeline from which it was started."""
        version = run.get("pipeline_version_reference") or {}
        if not run.get("pipeline_spec") and version.get("pipeline_version_id"):
            try:
                path = f"pipelines/{version['pipeline_id']}/versions/{version['pipeline_version_id']}"
                return self.connection.get(path).get("pipeline_spec")
            except UserError:
                return None
        return run.get("pipeline_spec")

    def _mounts(self, nodes: Sequence[Node], now: datetime) -> dict[str, str]:
        """Return why pods do not start whose container is being made for long: a volume that cannot be mounted."""
        slow = [
            node.pod
            for node in nodes
            if node.pod and node.phase == "Pending" and node.message == "ContainerCreating"
            and node.started and (now - node.started).total_seconds() > SLOW
        ]  # fmt: skip
        return {pod: trouble for pod in slow[:MAX_PODS] if (trouble := self.kube.mount_trouble(pod))}


def _settled(task: TaskView, snapshot: Snapshot) -> TaskView:
    """Return what is known of a task once its run is over, or KFP's list of tasks stands still."""
    if task.state in OVER or not (snapshot.is_over or snapshot.frozen_since):
        return task
    if snapshot.is_behind and snapshot.word == "succeeded":
        return replace(task, state=State.DONE, note=OR_REUSED, since=None, ended=None, reason=None)
    if snapshot.is_behind or snapshot.frozen_since:
        return replace(task, state=State.UNKNOWN, note="", since=None, reason=None)
    if task.state == State.NOT_STARTED:
        return replace(task, state=State.NOT_RUN, note="")
    return replace(task, state=State.STOPPED if snapshot.word == "terminated" else State.UNKNOWN, note="", reason=None)
