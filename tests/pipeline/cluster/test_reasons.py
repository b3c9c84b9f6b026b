"""What Argo and Kubernetes say, in a reader's words; the messages are recorded ones where a recording has them."""

import pytest
from replay import recording

from pipeline.cluster import reasons
from pipeline.cluster.nodes import workflow_nodes
from pipeline.cluster.reasons import PodContext, Reason, error_line, explain, last_lines
from pipeline.cluster.spec import Limits

PLACE = PodContext("train", "kubeflow", Limits("registry/image:1", "8Gi", 7200))
PUSH = "Push it, or correct the profile's `image` or --image; a private registry needs `image_pull_secrets`."
ROOM = "It starts when one has. If none is large enough, ask for less in the profile or add a node."
ALLOWED = "Compare `node_selector`, `tolerations` and `affinity` in the profile with the nodes' labels and taints."
AGAIN = "Send the same run again: what is done is reused, trainings resume."


@pytest.mark.parametrize(
    ("message", "text", "cure"),
    [
        ('ImagePullBackOff: Back-off pulling image "autoencoders:nosuchtag"',
         "the image autoencoders:nosuchtag cannot be pulled", PUSH),
        ("ErrImagePull", "the image registry/image:1 cannot be pulled", PUSH),
        ('ErrImagePull: failed to pull image "r.example/a:1": pull access denied, repository does not exist',
         "the registry refuses the image r.example/a:1",
         "Name a secret with the registry's login under `image_pull_secrets` in the profile."),
        ('CreateContainerConfigError: secret "mlfloww" not found', "the secret mlfloww is missing",
         "Create it in namespace kubeflow (docs/kubernetes.md, step 3), or correct the profile."),
        ("CreateContainerConfigError: couldn't find key MLFLOW_TRACKING_URI in Secret kubeflow/mlflow",
         "the secret mlflow has no key MLFLOW_TRACKING_URI", "Add the key, or correct `secret_env` in the profile."),
        ('Unschedulable: persistentvolumeclaim "nosuch" not found', "the claim nosuch is missing",
         "Create it in namespace kubeflow (docs/kubernetes.md, step 4), or correct `checkpoints` or `volumes` in the "
         "profile."),
        ("Unschedulable: 0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
         "a claim has no volume yet",
         "See `kubectl get pvc -n kubeflow`: the storage class must offer the claim's access mode and size."),
        ("Unschedulable: 0/1 nodes are available: 1 Insufficient cpu.", "no node has room (1 Insufficient cpu)", ROOM),
        ("Unschedulable: 0/5 nodes are available: 2 Insufficient memory, 3 Insufficient nvidia.com/gpu. preemption: "
         "0/5 nodes are available: 5 No preemption victims found for incoming pod.",
         "no node has room (2 Insufficient memory, 3 Insufficient nvidia.com/gpu)",
         f"{ROOM} A GPU counts only on nodes with the device plugin."),
        ("Unschedulable: 0/3 nodes are available: 3 node(s) had untolerated taint {nvidia.com/gpu: present}.",
         "no node is allowed (3 node(s) had untolerated taint {nvidia.com/gpu: present})", ALLOWED),
        ("Unschedulable: 0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.",
         "no node is allowed (3 node(s) didn't match Pod's node affinity/selector)", ALLOWED),
        ("main: OOMKilled (exit code 1)", "out of memory (limit 8Gi)",
         "Give `train` more `memory` in the profile, or make `train.batch_size` or the model smaller."),
        ("Pod was active on the node longer than the specified deadline", "over its time limit of 2 h",
         "Raise `timeout` of `train` in the profile."),
        ("Max duration limit exceeded", "the time for all its attempts together was over",
         "Raise `timeout` of `train` in the profile, and compile the pipeline again."),
        ("pod deleted", "its pod was lost, or deleted", AGAIN),
        ("The node was low on resource: memory. Container main was using 9Gi. Evicted", "its pod was lost, or deleted",
         AGAIN),
        ('Pod "wf-impl-510045693" is invalid: spec.containers[1].env[7].valueFrom: Invalid value: "": may not be '
         "specified when `value` is not empty",
         "the pod is invalid: KFP's MLflow plugin and the profile set the same variable",
         "Compile the pipeline again. If that does not help, leave out `keys` under `secret_env` in the profile."),
        ('Pod "wf-1" is invalid: spec.tolerations[0].operator: Invalid value: "Exist"',
         'the pod is invalid (spec.tolerations[0].operator: Invalid value: "Exist")', "Correct the profile."),
        ('pods "wf-1" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1, used: 4, limited: 4',
         "the namespace's quota is used up (gpus, requested: requests.nvidia.com/gpu=1, used: 4, limited: 4)",
         "Ask for less in the profile, or for a larger quota."),
        ('error looking up service account kubeflow/me: serviceaccount "me" not found',
         "the serviceaccount me is missing", "Create it in namespace kubeflow, or correct the profile."),
        ("main: Error (exit code 1)", "exit code 1", ""),
        ("main: Error (exit code 143)",
         "stopped by a signal (exit code 143): its pod was deleted, or its node drained", AGAIN),
        ("main: Error (exit code 137)", "killed (exit code 137)",
         "If it was for want of memory, give `train` more `memory` in the profile."),
        ("something that\n nobody has seen", "something that nobody has seen", ""),
    ],
)  # fmt: skip
def test_a_message_becomes_a_reason_and_its_cure(message, text, cure):
    assert explain(message, PLACE) == Reason(text, cure)


@pytest.mark.parametrize(
    "case", ["wrong-image", "wrong-secret", "no-room", "out-of-memory", "deadline", "plugin-conflict", "second-of-two"]
)
def test_no_recorded_reason_of_a_pod_is_shown_in_the_cluster_s_words(case):
    messages = {node.message for node in workflow_nodes(recording(f"workflow-{case}")) if node.pod and node.message}
    assert messages
    for message in messages:
        assert explain(message, PLACE).text not in message or message == "main: Error (exit code 1)"


def test_what_argo_says_of_a_stopped_run_is_known():
    for case in ("terminated", "plugin-conflict"):
        nodes = workflow_nodes(recording(f"workflow-{case}"))
        assert any(reasons.STOPPED.match(node.message) for node in nodes)
    assert not reasons.STOPPED.match("Pod was active on the node longer than the specified deadline")


LAUNCHER = "I1128 14:43:55.104981      20 launcher_v2.go:201] publish success."
FATAL = 'F1128 14:04:00.512345      15 main.go:79] KFP driver: driver.Container(pipelineName=autoencoders) failed: input parameter "model_params" type mismatch: expect STRUCT, got string'  # noqa: E501


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (["epoch 1", "error: no space left", LAUNCHER], "no space left"),
        (["error: first", "error: last"], "last"),
        ([LAUNCHER, FATAL], 'input parameter "model_params" type mismatch: expect STRUCT, got string'),
        (["Traceback (most recent call last):", "KeyError: 'x'"], ""),
        ([], ""),
    ],
)
def test_the_line_that_says_what_went_wrong(log, line):
    assert error_line(log) == line


def test_the_end_of_a_log_is_what_the_task_wrote():
    own = [f"epoch {number}" for number in range(20)]
    argo = 'time="2026-11-28T14:44:30Z" level=info msg="sub-process exited" argo=true error="<nil>"'
    assert last_lines([LAUNCHER, *own, "", argo, "Error: exit status 1"]) == own[-15:]
    assert last_lines([LAUNCHER, FATAL]) == [LAUNCHER, FATAL]
