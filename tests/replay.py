"""What a real cluster answered, for any moment of a run (pipeline/recordings/README.md).

Between two recorded answers there is no need to guess: KFP's answer lists each task's states with the times at which
the server learned of them, Argo's nodes have the times of their beginnings and ends. So an answer is cut back to an
earlier moment: what came later is left out of it.
"""

import base64
import copy
import gzip
import json
import re
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.cluster.kfp_tasks import full_names

FOLDER = Path(__file__).parent / "pipeline" / "recordings"
NOT_YET = "0001-01-01T00:00:00Z"
"""KFP's end of a task that goes on; that of a run is 1970."""
WHOLE_SETTINGS = {"out-of-memory": {"memory": "300Mi"}, "wrong-image": {"image": "autoencoders:nosuchtag"},
                  "deadline": {"timeout": "60"}}  # fmt: skip
"""What the recorded runs were sent with, where it was not the profile `cpu` as it is."""


@cache
def recording(name: str) -> Any:
    with gzip.open(FOLDER / f"{name}.json.gz", "rt") as file:
        return json.load(file)


def when(text: str | None) -> datetime | None:
    found = datetime.fromisoformat(text) if text else None
    return found if found and found.year > 1970 else None


def pipeline_spec(case: str) -> dict[str, Any]:
    """The pipeline that was sent, which the recordings leave out."""
    pipeline, platform = copy.deepcopy(recording("pipeline"))
    settings = WHOLE_SETTINGS.get(case, {})
    for executor in pipeline["deploymentSpec"]["executors"].values():
        executor["container"]["image"] = settings.get("image", executor["container"]["image"])
        if "memory" in settings:
            executor["container"]["resources"]["resourceMemoryLimit"] = settings["memory"]
    for pod in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        pod["activeDeadlineSeconds"] = settings.get("timeout", pod["activeDeadlineSeconds"])
    return {"pipeline_spec": pipeline, "platform_spec": platform}


def models(iterations: int) -> list[Any]:
    """The first models of the pipeline: a run with fewer iterations was sent with fewer."""
    spec = recording("pipeline")[0]
    return spec["root"]["inputDefinitions"]["parameters"]["models_params"]["defaultValue"][:iterations]


class RecordedRun:
    """KFP's answers for one run."""

    def __init__(self, case: str) -> None:
        self.case = case
        self.snapshots: list[dict[str, Any]] = recording(case)["snapshots"]
        last = self.snapshots[-1]["run"]
        self.run_id = last["run_id"]
        self.began = when(last["created_at"])
        shown = {task.get("display_name", "") for task in last["run_details"]["task_details"]}
        self.iterations = len([name for name in shown if re.fullmatch(r"iteration-iterations\(\d+:\d+\)", name)]) or 5
        # The first answer came no earlier than the newest thing in any answer, less that answer's delay.
        self.first = max(
            _newest(snapshot["run"]) - timedelta(seconds=snapshot["seconds_since_first"]) for snapshot in self.snapshots
        )

    def at(self, moment: datetime) -> dict[str, Any]:
        """The answer at a moment of the run."""
        runs = [snapshot["run"] for snapshot in self.snapshots]
        run = next((run for run in runs if _newest(run) >= moment), runs[-1])
        return self._whole(_cut_back(run, moment))

    def snapshot(self, number: int) -> tuple[datetime, dict[str, Any]]:
        """A recorded answer as it is, and when it was given."""
        snapshot = self.snapshots[number]
        return self.first + timedelta(seconds=snapshot["seconds_since_first"]), self._whole(snapshot["run"])

    def _whole(self, run: dict[str, Any]) -> dict[str, Any]:
        """Put back what the recordings leave out; a run of an uploaded pipeline names its version instead."""
        if "pipeline_version_reference" in run:
            return run
        given = {"parameters": {"models_params": models(self.iterations)}}
        return {**run, "pipeline_spec": pipeline_spec(self.case), "runtime_config": given}


def _newest(run: dict[str, Any]) -> datetime:
    tasks = run["run_details"]["task_details"]
    times = [entry["update_time"] for item in (run, *tasks) for entry in item.get("state_history") or ()]
    times += [task["end_time"] for task in tasks if task.get("execution_id")]
    return max(found for text in times if (found := when(text)))


def _cut_back(run: dict[str, Any], moment: datetime) -> dict[str, Any]:
    """The answer at an earlier moment than that of `run`."""
    history = _until(run, moment)
    over = len(history) == len(run["state_history"])
    cut = {
        **run,
        "state_history": history,
        "state": history[-1].get("state") if history else None,
        "finished_at": run["finished_at"] if over else "1970-01-01T00:00:00Z",
    }
    tasks = []
    for task in run["run_details"]["task_details"]:
        if task.get("execution_id"):
            tasks += [task] if (when(task["end_time"]) or moment) <= moment else []
        elif entries := _until(task, moment):
            ended = len(entries) == len(task["state_history"])
            end = task["end_time"] if ended else NOT_YET
            shortened = {**task, "state_history": entries, "state": entries[-1].get("state"), "end_time": end}
            tasks.append({name: value for name, value in shortened.items() if value is not None})
    return {**cut, "run_details": {"task_details": _without_children_to_come(run, tasks)}}


def _until(item: dict[str, Any], moment: datetime) -> list[dict[str, Any]]:
    return [entry for entry in item.get("state_history") or () if (when(entry["update_time"]) or moment) <= moment]


def _without_children_to_come(run: dict[str, Any], tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    every = [task for task in run["run_details"]["task_details"] if "display_name" in task]
    children = [child["pod_name"] for task in every for child in task.get("child_tasks") or ()]
    names = full_names([task["display_name"] for task in every], children)
    there = {task.get("display_name") for task in tasks}
    return [
        {**task, "child_tasks": [
            child for child in task["child_tasks"] if names[child["pod_name"]].rpartition(".")[2] in there
        ]} if task.get("child_tasks") else task
        for task in tasks
    ]  # fmt: skip


class RecordedWorkflow:
    """Argo's Workflow of one run."""

    def __init__(self, case: str) -> None:
        self.case = case
        self.workflow: dict[str, Any] = recording(f"workflow-{case}")
        self.run_id = self.workflow["metadata"]["labels"]["pipeline/runid"]
        status = self.workflow["status"]
        self.is_packed = "compressedNodes" in status
        packed = status.get("compressedNodes")
        self.nodes = json.loads(gzip.decompress(base64.b64decode(packed))) if packed else status["nodes"]
        self.began = when(status["startedAt"])
        self.ended = when(status["finishedAt"])
        times = [when(node[key]) for node in self.nodes.values() for key in ("startedAt", "finishedAt")]
        self.newest = max(time for time in times if time)
        self.iterations = len([node for node in self.nodes.values() if re.search(r"\(\d+:\d+\)$", node["name"])])

    def at(self, moment: datetime) -> dict[str, Any]:
        """The object at a moment of the run; of pods that have ended since, it is not known when they were pending."""
        nodes = {
            key: dict(_node_at(node, moment)) for key, node in self.nodes.items() if when(node["startedAt"]) <= moment
        }
        status = {name: value for name, value in self.workflow["status"].items() if "odes" not in name}
        if self.is_packed:
            packed = gzip.compress(json.dumps(nodes).encode())
            status["compressedNodes"] = base64.b64encode(packed).decode()
        else:
            status["nodes"] = nodes
        return {**self.workflow, "status": status}

    def stopped(self, moment: datetime, stopped: datetime) -> dict[str, Any]:
        """The object after the run was stopped: what had not ended ends as in the recording `terminated`."""
        found = self.at(min(moment, stopped))
        for node in found["status"]["nodes"].values():
            if not node["finishedAt"]:
                node |= {"phase": "Failed", "message": "Step exceeded its deadline", "finishedAt": stopped.isoformat()}
        return found

    def run(self, moment: datetime) -> dict[str, Any]:
        """What KFP's API says of it, had it been recorded too: the run's own fields, in the form of those that were."""
        over = self.ended is not None and self.ended <= moment
        phase = self.workflow["status"]["phase"] if over else "Running"
        state = {"Running": "RUNNING", "Succeeded": "SUCCEEDED"}.get(phase, "FAILED")
        stopped = "deadline" in (self.workflow["status"].get("message") or "") and over
        states = ["RUNNING", *(["CANCELING"] if stopped else []), *([state] if over else [])]
        end = self.workflow["status"]["finishedAt"]
        return {
            "run_id": self.run_id,
            "experiment_id": "experiments-1",
            "display_name": self.workflow["metadata"]["annotations"]["pipelines.kubeflow.org/run_name"],
            "created_at": self.workflow["metadata"]["creationTimestamp"],
            "finished_at": end if over else "1970-01-01T00:00:00Z",
            "state": state,
            "state_history": [{"update_time": end or self.workflow["status"]["startedAt"], "state": state}
                              for state in states],
            "pipeline_spec": pipeline_spec(self.case),
            "runtime_config": {"parameters": {"models_params": models(self.iterations or 5)}},
        }  # fmt: skip


def _node_at(node: dict[str, Any], moment: datetime) -> dict[str, Any]:
    end = when(node["finishedAt"])
    if end is None or end <= moment:
        return node
    return {**node, "phase": "Running", "message": "", "finishedAt": None, "outputs": None}
