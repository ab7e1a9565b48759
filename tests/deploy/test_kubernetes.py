"""Manifests as kubectl and helm render them: strictly valid, hardened, and wired to themselves."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
CHART = DEPLOY / "helm" / "spanlint"
VERSION = "1.37.0"
OURS = ("monitoring.coreos.com/",)
"""Kinds that Kubernetes itself does not know."""

KUSTOMIZED = ("base", "overlays/gateway", "overlays/sidecar")
VALUES = {
    "default": (),
    "gateway": ("-f", CHART / "ci" / "gateway-values.yaml"),
    "sidecar": ("-f", CHART / "ci" / "sidecar-values.yaml"),
    "no volume": ("--set", "gateway.persistence.enabled=false"),
}
Manifest = dict[str, Any]


def program(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    found = shutil.which(name)
    assert found, f"{name} is not on PATH: run ./dev test, which unpacks it"
    return subprocess.run(
        [found, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


def rendered(*command: str | Path) -> list[Manifest]:
    done = program(*command)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr
    return [m for m in yaml.safe_load_all(done.stdout) if m]


def templated(*values: str | Path) -> list[Manifest]:
    return rendered("helm", "template", "shop", CHART, "--kube-version", VERSION, *values)


def sources() -> list[Any]:
    commands = {f: ("kubectl", "kustomize", DEPLOY / "kubernetes" / f) for f in KUSTOMIZED}
    return [
        *(pytest.param(lambda c=c: rendered(*c), id=name) for name, c in commands.items()),
        *(pytest.param(lambda v=v: templated(*v), id=f"helm {name}") for name, v in VALUES.items()),
    ]


SOURCES = pytest.mark.parametrize("render", sources())


def pods(manifests: list[Manifest]) -> list[Manifest]:
    return [m["spec"]["template"] for m in manifests if m["kind"] in ("Deployment", "StatefulSet")]


def containers(pod: Manifest) -> list[Manifest]:
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


@SOURCES
def test_the_schemas_of_kubernetes_hold_strictly(render) -> None:
    manifests = render()
    checked = [m for m in manifests if not m["apiVersion"].startswith(OURS)]

    for manifest in checked:
        kubernetes_validate.validate(manifest, VERSION, strict=True)

    assert len(checked) >= 2


def test_the_strict_schema_refuses_what_is_misspelt() -> None:
    manifest = templated()[0] | {"specs": {}}

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, VERSION, strict=True)


@SOURCES
def test_containers_are_hardened_and_bounded(render) -> None:
    seen = 0
    for pod in pods(render()):
        assert pod["spec"]["automountServiceAccountToken"] is False
        whole = pod["spec"].get("securityContext", {})
        for container in containers(pod):
            own = whole | container["securityContext"]
            assert own["runAsNonRoot"] is True, container["name"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["readOnlyRootFilesystem"] is True
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert own["seccompProfile"] == {"type": "RuntimeDefault"}
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]
            assert ":latest" not in container["image"]
            assert ":" in container["image"]
            seen += 1
    assert seen


@SOURCES
def test_spanlint_is_probed_mounted_and_can_write_only_where_it_must(render) -> None:
    spanlints = [
        (pod, c) for pod in pods(render()) for c in containers(pod) if c["name"] == "spanlint"
    ]
    assert len(spanlints) == 1
    pod, container = spanlints[0]

    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    ready = container.get("readinessProbe") or container["startupProbe"]
    assert ready["httpGet"]["path"] == "/readyz"
    named = {p["name"] for p in container["ports"]}
    assert {ready["httpGet"]["port"], container["livenessProbe"]["httpGet"]["port"]} <= named
    mounts = {m["name"]: m for m in container["volumeMounts"]}
    volumes = {v["name"] for v in pod["spec"]["volumes"]}
    assert set(mounts) - volumes <= {"state"}
    writable = {m["mountPath"] for m in mounts.values() if not m.get("readOnly")}
    assert writable <= {"/tmp", "/var/lib/spanlint"}


@SOURCES
def test_what_is_selected_is_there(render) -> None:
    manifests = render()
    labels = [pod["metadata"]["labels"].items() for pod in pods(manifests)]
    wanted = []
    for manifest in manifests:
        spec = manifest.get("spec", {})
        if manifest["kind"] == "Service":
            wanted.append(spec["selector"])
        if manifest["kind"] in ("PodMonitor", "PodDisruptionBudget"):
            wanted.append(spec["selector"]["matchLabels"])
        if manifest["kind"] == "NetworkPolicy":
            wanted.append(spec["podSelector"]["matchLabels"])
    assert wanted
    for selector in wanted:
        assert selector
        assert any(selector.items() <= have for have in labels), selector


@pytest.mark.parametrize("render", [p for p in sources() if "sidecar" in str(p.id)])
def test_the_sidecar_is_native_and_listens_to_its_own_pod(render) -> None:
    (pod,) = pods(render())
    (sidecar,) = pod["spec"]["initContainers"]

    assert sidecar["restartPolicy"] == "Always"
    assert "startupProbe" in sidecar
    said = json.dumps([sidecar["args"], sidecar.get("env")])
    assert said.count("127.0.0.1:431") == 2


def test_the_gateway_shares_traces_out_over_its_replicas() -> None:
    manifests = rendered("kubectl", "kustomize", DEPLOY / "kubernetes" / "overlays" / "gateway")
    config = next(
        yaml.safe_load(m["data"]["config.yaml"])
        for m in manifests
        if m["kind"] == "ConfigMap" and "config.yaml" in m["data"]
    )
    headless = [
        m["metadata"]["name"] for m in manifests if m.get("spec", {}).get("clusterIP") == "None"
    ]

    exporter = config["exporters"]["loadbalancing"]
    assert exporter["routing_key"] == "traceID"
    assert exporter["resolver"]["dns"]["hostname"] in headless


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_helm_lint(values) -> None:
    done = program("helm", "lint", "--strict", CHART, *values)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("gateway.replcas=3", "replcas"),
        ("mode=daemonset", "mode"),
        ("image.tg=1", "tg"),
        ("mode=sidecar", "containers"),
        ("config.admin=x", "config"),
        ("gateway.persistence.size=big", "size"),
    ],
)
def test_a_wrong_value_fails_and_is_named(wrong: str, said: str) -> None:
    done = program("helm", "template", "shop", CHART, "--set", wrong)

    assert done.returncode != 0
    assert said in done.stderr


def test_the_chart_carries_the_rules_and_dashboards_of_the_repository() -> None:
    manifests = templated(*VALUES["gateway"])
    generated = DEPLOY.parent / "dashboards" / "generated"
    groups = [
        group["name"]
        for name in ("recording", "alerts")
        for group in yaml.safe_load((generated / "prometheus" / f"{name}.yaml").read_text())[
            "groups"
        ]
    ]
    rule = next(m for m in manifests if m["kind"] == "PrometheusRule")
    boards = next(m for m in manifests if m["metadata"]["name"].endswith("-dashboards"))

    assert [g["name"] for g in rule["spec"]["groups"]] == groups
    assert set(boards["data"]) == {p.name for p in (generated / "grafana").glob("*.json")}
    assert boards["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert all(json.loads(board)["panels"] for board in boards["data"].values())


def test_the_settings_in_the_manifests_are_settings(tmp_path: Path) -> None:
    from collector.settings import load

    seen = 0
    for render in (p.values[0] for p in sources()):
        for manifest in render():
            text = manifest.get("data", {}).get("spanlint.yaml")
            if manifest["kind"] == "ConfigMap" and text is not None:
                path = tmp_path / f"{seen}.yaml"
                path.write_text(text)
                load(str(path), {})
                seen += 1
    assert seen == len(KUSTOMIZED) + len(VALUES)


def test_notes_say_where_to_send_spans() -> None:
    done = program(
        "helm", "install", "shop", CHART, "--dry-run=client", "--set", "gateway.replicas=2"
    )

    assert done.returncode == 0, done.stderr
    assert "OTEL_EXPORTER_OTLP_ENDPOINT=http://shop.default:4318" in done.stdout
    assert "shop-headless:4317" in done.stdout


def test_kustomize_has_rules_and_dashboards_for_the_monitoring_namespace() -> None:
    manifests = rendered("kubectl", "kustomize", DEPLOY / "kubernetes" / "overlays" / "monitoring")
    kinds = {m["kind"]: m for m in manifests}

    assert set(kinds) == {"PrometheusRule", "ConfigMap"}
    assert kinds["PrometheusRule"]["spec"]["groups"]
    assert kinds["ConfigMap"]["metadata"]["labels"] == {"grafana_dashboard": "1"}
    assert len(kinds["ConfigMap"]["data"]) >= 4
    kubernetes_validate.validate(kinds["ConfigMap"], VERSION, strict=True)
