"""What messages of Argo, Kubernetes and a pod's log mean, and what to do about them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pipeline.cluster.spec import Limits
from pipeline.times import duration

STARTING = re.compile(r"(ContainerCreating|PodInitializing)?")
"""Of a pod that is on its way: it has a node, and its container is being made."""
STOPPED = re.compile(
    r"Step exceeded its deadline|retry exceeded workflow deadline|.*[Ss]top(ped)? with strategy|workflow shutdown"
)
"""Of what was running when a run was stopped."""
LOST = re.compile(
    r".*(pod deleted|pod was deleted|node .*(lost|not ready|deleted)|NodeLost|evicted|Evicted|Preempted|preempt)", re.S
)
"""Of a pod that went away with its node or was deleted: it is tried again."""


@dataclass(frozen=True)
class Reason:
    """Why a task waits or failed."""

    text: str
    cure: str = ""


@dataclass(frozen=True)
class PodContext:
    """What a message is about."""

    stage: str
    namespace: str
    limits: Limits = field(default_factory=Limits)


def explain(message: str, pod: PodContext) -> Reason:
    """Return what a message means; one that is not known is shown as it is, in one line."""
    for pattern, meaning in MEANINGS:
        if found := re.search(pattern, message, re.S | re.I):
            if not isinstance(meaning, Reason):
                return meaning(found, pod)
            words = {name: " ".join(word.split()) for name, word in found.groupdict().items()}
            words["kind"] = words.get("kind", "").lower()
            words |= {"stage": pod.stage, "namespace": pod.namespace}
            return Reason(meaning.text.format(**words), meaning.cure.format(**words))
    return Reason(" ".join(message.split()))


def _image(found: re.Match[str], pod: PodContext) -> Reason:
    image = re.search(r'image "([^"]+)"', found.string)
    name = image[1] if image else pod.limits.image
    denied = re.search(r"unauthorized|authentication required|access denied|denied|forbidden", found.string, re.I)
    if denied:
        return Reason(
            f"the registry refuses the image {name}",
            "Name a secret with the registry's login under `image_pull_secrets` in the profile.",
        )
    return Reason(
        f"the image {name} cannot be pulled",
        "Push it, or correct the profile's `image` or --image; a private registry needs `image_pull_secrets`.",
    )


def _no_node(found: re.Match[str], pod: PodContext) -> Reason:
    parts = [part.strip(" .") for part in re.sub(r"(preemption|no new claims).*", "", found[1], flags=re.S).split(",")]
    why = ", ".join(part for part in parts if part)
    if "Insufficient" in why:
        gpu = " A GPU counts only on nodes with the device plugin." if "nvidia.com" in why else ""
        return Reason(
            f"no node has room ({why})",
            f"It starts when one has. If none is large enough, ask for less in the profile or add a node.{gpu}",
        )
    return Reason(
        f"no node is allowed ({why})",
        "Compare `node_selector`, `tolerations` and `affinity` in the profile with the nodes' labels and taints.",
    )


def _memory(found: re.Match[str], pod: PodContext) -> Reason:
    limit = f" (limit {pod.limits.memory})" if pod.limits.memory else ""
    smaller = ", or make `train.batch_size` or the model smaller" if pod.stage == "train" else ""
    return Reason(f"out of memory{limit}", f"Give `{pod.stage}` more `memory` in the profile{smaller}.")


def _timeout(found: re.Match[str], pod: PodContext) -> Reason:
    limit = f" of {duration(pod.limits.timeout)}" if pod.limits.timeout else ""
    return Reason(f"over its time limit{limit}", f"Raise `timeout` of `{pod.stage}` in the profile.")


def _exit(found: re.Match[str], pod: PodContext) -> Reason:
    code = int(found[1])
    if code == 143:
        return Reason("stopped by a signal (exit code 143): its pod was deleted, or its node drained", SEND_AGAIN)
    if code == 137:
        cure = f"If it was for want of memory, give `{pod.stage}` more `memory` in the profile."
        return Reason("killed (exit code 137)", cure)
    return Reason(f"exit code {code}")


SEND_AGAIN = "Send the same run again: what is done is reused, trainings resume."
Meaning = Reason | Callable[[re.Match[str], PodContext], Reason]
MEANINGS: list[tuple[str, Meaning]] = [
    (r"ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull", _image),
    (r"couldn't find key (?P<key>\S+) in (?P<kind>Secret|ConfigMap) (?:\S+/)?(?P<name>\S+)", Reason(
        "the {kind} {name} has no key {key}", "Add the key, or correct `secret_env` in the profile.")),
    (r'secret "(?P<name>[^"]+)" not found', Reason(
        "the secret {name} is missing",
        "Create it in namespace {namespace} (docs/kubernetes.md, step 3), or correct the profile.")),
    (r'(?P<kind>configmap|serviceaccount) "(?P<name>[^"]+)" not found', Reason(
        "the {kind} {name} is missing", "Create it in namespace {namespace}, or correct the profile.")),
    (r'persistentvolumeclaim "(?P<name>[^"]+)" not found', Reason(
        "the claim {name} is missing", "Create it in namespace {namespace} (docs/kubernetes.md, step 4), or correct "
        "`checkpoints` or `volumes` in the profile.")),
    (r"unbound immediate PersistentVolumeClaims", Reason(
        "a claim has no volume yet", "See `kubectl get pvc -n {namespace}`: the storage class must offer the claim's "
        "access mode and size.")),
    (r"nodes are available: (.+)", _no_node),
    (r"(?:FailedMount|FailedAttachVolume): (?P<why>.+)", Reason(
        "a volume cannot be mounted ({why})", "See the volume's driver and its claim.")),
    (r"exceeded quota: (?P<why>.+)", Reason(
        "the namespace's quota is used up ({why})", "Ask for less in the profile, or for a larger quota.")),
    (r"OOMKilled", _memory),
    (r"active on the node longer than the specified deadline", _timeout),
    (r"Max duration limit exceeded", Reason(
        "the time for all its attempts together was over",
        "Raise `timeout` of `{stage}` in the profile, and compile the pipeline again.")),
    (r"may not be specified when `value` is not empty", Reason(
        "the pod is invalid: KFP's MLflow plugin and the profile set the same variable", "Compile the pipeline again. "
        "If that does not help, leave out `keys` under `secret_env` in the profile.")),
    (r'Pod "[^"]+" is invalid: (?P<why>.+)', Reason("the pod is invalid ({why})", "Correct the profile.")),
    (LOST.pattern, Reason("its pod was lost, or deleted", SEND_AGAIN)),
    (r"exit code (\d+)", _exit),
]  # fmt: skip
"""Patterns of messages, and what they mean, with their named groups put in; the first that is found holds."""


N_LINES_SHOWN = 15
"""Lines of a log that are shown."""
LAUNCHER = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d|time=\S+ level=|{\"time\":|Error: exit status")
"""Beginnings of lines that KFP's launcher and Argo write around what the task itself says."""
OWN_ERROR = re.compile(r"error: (.+)")
FATAL = re.compile(r"F\d{4} \d\d:\d\d:\d\d\.\d+\s+\d+ \S+:\d+\] (.+)")
"""Of KFP's launcher and driver, before they end."""
DRIVER = re.compile(r"(KFP driver: )?driver\.\w+\([^)]*\) failed: ")


def error_line(lines: Sequence[str]) -> str:
    """Return what a task, or the program that KFP runs around it, gives as its error; empty if it gives none."""
    own = [found[1] for line in lines if (found := OWN_ERROR.match(line))]
    if own:
        return own[-1].strip()
    fatal = [found[1] for line in lines if (found := FATAL.match(line))]
    return DRIVER.sub("", fatal[-1]).strip() if fatal else ""


def last_lines(lines: Sequence[str]) -> list[str]:
    """Return the last lines that the task itself wrote, or, if it wrote none, the last of all."""
    own = [line for line in lines if line.strip() and not LAUNCHER.match(line)]
    return [line.rstrip() for line in (own or [line for line in lines if line.strip()])[-N_LINES_SHOWN:]]
