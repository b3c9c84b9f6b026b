"""What Kubernetes is asked, and one line for each reason why it does not say."""

from datetime import timedelta

import pytest
from kube_double import KubeDouble, write_kube_config

from pipeline.cluster.kube import Kube, Unseen

WORKFLOW = {"metadata": {"name": "wf"}, "status": {}}


@pytest.fixture
def seen(kube) -> KubeDouble:
    kube.workflow, kube.run_id = lambda now: WORKFLOW, "run-1"
    return kube


def test_the_workflow_of_a_run_is_found_by_its_label(seen):
    kube = Kube("kubeflow")
    assert (kube.workflow("run-1"), kube.no_workflow) == (WORKFLOW, "")
    assert kube.workflow("run-2") is None
    assert kube.no_workflow == (
        f"the cluster of the kube config ({seen.host}) has no Workflow of this run in namespace kubeflow (another "
        "cluster, another --namespace, or it was cleaned up)"
    )


def test_a_right_that_is_missing_is_named(seen):
    seen.forbidden = {"workflows", "pods/log"}
    kube = Kube("kubeflow")
    assert kube.workflow("run-1") is None
    assert kube.no_workflow == (
        "the kube config may not list workflows.argoproj.io in namespace kubeflow (a Role with get and list on "
        "workflows, and get on pods/log, shows it: docs/kubernetes.md)"
    )
    with pytest.raises(Unseen, match=r"^the kube config may not get pods/log in namespace kubeflow$"):
        kube.log("wf-impl-1")


@pytest.mark.parametrize(
    ("answer", "blind"),
    [
        ((401, {}), "the kube config's login is not accepted by {cluster} (HTTP 401)"),
        ((404, "404 page not found\n"), "{cluster} has no Argo Workflows: it is another cluster than KFP's"),
        ((500, {}), "{cluster} answers with HTTP 500"),
        ((200, "<html>"), "{cluster} does not answer as Kubernetes does"),
    ],
)
def test_other_answers_are_reported(seen, answer, blind):
    seen.always = answer
    kube = Kube("kubeflow")
    assert kube.workflow("run-1") is None
    assert kube.no_workflow == blind.format(cluster=f"the cluster of the kube config ({seen.host})")


def test_a_cluster_that_is_not_there_is_asked_once_in_five_minutes_and_quietly(
    server, clock, monkeypatch, tmp_path, capsys
):
    write_kube_config(tmp_path / "kube.yaml", "http://127.0.0.1:9")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kube.yaml"))
    kube, asked = Kube("kubeflow"), []
    monkeypatch.setattr(kube, "_json", lambda *path, json=kube._json, **query: asked.append(1) or json(*path, **query))
    for seconds in (0, 5, 299, 301):
        clock.now += timedelta(seconds=seconds)
        assert kube.workflow("run-1") is None
    assert len(asked) == 3
    assert (
        kube.no_workflow == "the cluster of the kube config (http://127.0.0.1:9) does not answer (NewConnectionError)"
    )
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("text", ["nonsense: [", "[]", "", "current-context: gone\ncontexts: []\nclusters: []\n"])
def test_a_kube_config_that_cannot_be_used_is_reported(server, monkeypatch, tmp_path, text):
    (tmp_path / "kube.yaml").write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kube.yaml"))
    kube = Kube("kubeflow")
    assert kube.workflow("run-1") is None
    assert kube.no_workflow.startswith("the kube config cannot be used (")
    assert "\n" not in kube.no_workflow


def test_without_a_kube_config_that_is_what_is_said(server):
    kube = Kube("kubeflow")
    assert kube.workflow("run-1") is None
    assert kube.no_workflow == "there is no kube config here (which rights show it: docs/kubernetes.md)"


def test_the_log_is_the_container_s_and_a_pod_that_is_gone_has_none(seen):
    seen.logs = {"impl-1": "first\nlast\n"}
    kube = Kube("kubeflow")
    assert kube.log("wf-impl-1") == ["first", "last"]
    assert seen.queries[-1] == {"container": "main", "tailLines": "400"}
    with pytest.raises(Unseen, match=r"^its pod is gone$"):
        kube.log("wf-impl-2")


def test_of_a_pod_s_events_the_last_shows_trouble_with_volumes(seen):
    trouble = ("FailedMount", "Unable to attach or mount volumes")
    seen.events = {"a": [("Scheduled", ""), trouble], "b": [trouble, ("Pulling", "Pulling image")]}
    kube = Kube("kubeflow")
    assert kube.mount_trouble("a") == "FailedMount: Unable to attach or mount volumes"
    assert kube.mount_trouble("b") == ""
    seen.forbidden = {"events"}
    assert kube.mount_trouble("a") == ""


def test_what_is_missing_is_known_only_where_it_may_be_looked_up(seen):
    seen.objects["secrets"] = {"mlflow"}
    kube = Kube("kubeflow")
    assert [kube.lacks("secrets", name) for name in ("mlflow", "other")] == [False, True]
    seen.forbidden = {"secrets"}
    assert not kube.lacks("secrets", "other")
