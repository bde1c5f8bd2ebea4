"""Check the files in deploy/ with the tools that will read them, and against the hub's needs."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.support import programs
from tests.support.servers import free_port

from .conftest import ROOT

DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").rglob("*.yaml"))
# Not covered by Kubernetes schemas: kustomize's own files and the Prometheus Operator's resources.
NOT_IN_KUBERNETES = {"Kustomization", "Component", "ServiceMonitor", "ScrapeConfig", "PrometheusRule"}

# Variables that compose itself fills in.
OF_COMPOSE = {"HUB_IMAGE_TAG", "HUB_NETWORK"}


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def name_of(path: Path) -> str:
    return str(path.relative_to(DEPLOY))


# --- Kubernetes ---


@pytest.mark.parametrize("version", ["1.29", "1.32", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("path", MANIFESTS, ids=name_of)
def test_the_manifests_keep_to_the_schemas_of_kubernetes(path: Path, version: str) -> None:
    for document in documents(path):
        if document["kind"] not in NOT_IN_KUBERNETES:
            kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("folder", sorted((DEPLOY / "kubernetes").rglob("kustomization.yaml")), ids=name_of)
def test_every_manifest_is_named_by_its_kustomization_and_the_other_way_round(folder: Path) -> None:
    (kustomization,) = documents(folder)
    named = {*kustomization["resources"], *(patch["path"] for patch in kustomization.get("patches", []))}
    files = {path.name for path in folder.parent.glob("*.yaml")} - {"kustomization.yaml"}
    assert {name for name in named if not name.startswith("..")} == files
    assert all((folder.parent / name).exists() for name in named)


def test_kustomize_builds_the_example() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed; Debian's is too old to build these")
    built = subprocess.run(
        ["kubectl", "kustomize", str(DEPLOY / "kubernetes/overlays/example")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    resources = list(yaml.safe_load_all(built.stdout))
    for resource in resources:
        assert resource["metadata"]["namespace"] == "monitoring"
        if resource["kind"] not in NOT_IN_KUBERNETES:
            kubernetes_validate.validate(resource, "1.32", strict=True)
    assert {"PrometheusRule", "ServiceMonitor", "ScrapeConfig"} <= {each["kind"] for each in resources}
    images = {container["image"] for pod in _pods(resources) for container in pod["containers"]}
    assert images == {"registry.example.com/servicebus-exporter-hub:0.1.0"}


def _base() -> list[dict[str, Any]]:
    return [document for path in (DEPLOY / "kubernetes/base").glob("*.yaml") for document in documents(path)]


def _pods(resources: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for resource in resources:
        if resource["kind"] in {"Deployment", "Job"}:
            yield resource["spec"]["template"]["spec"]


def test_every_pod_keeps_to_the_restricted_security_standard() -> None:
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
    pods = list(_pods(_base()))
    assert len(pods) == 2
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert all(set(volume) <= {"name", "emptyDir", "secret"} for volume in pod["volumes"])
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_no_manifest_holds_a_secret() -> None:
    assert not [resource for resource in _base() if resource["kind"] == "Secret"]
    for pod in _pods(_base()):
        for container in pod["containers"]:
            for variable in container["env"]:
                if variable["name"].endswith("_FILE"):
                    assert _is_in_a_secret(Path(variable["value"]), pod, container), variable
                else:
                    assert "secretKeyRef" in variable["valueFrom"], variable


def _is_in_a_secret(file: Path, pod: dict[str, Any], container: dict[str, Any]) -> bool:
    (volume,) = (
        mount["name"] for mount in container["volumeMounts"] if Path(mount["mountPath"]) == file.parent
    )
    (secret,) = (each["secret"] for each in pod["volumes"] if each["name"] == volume)
    # Readable only by the pod's group (fsGroup).
    assert secret["defaultMode"] == 0o440
    return file.name in [item["path"] for item in secret["items"]]


def test_the_rules_for_the_operator_are_those_that_promtool_tests(tmp_path: Path) -> None:
    written = DEPLOY / "kubernetes/components/prometheus-rules/prometheusrule.yaml"
    made = runpy.run_path(str(DEPLOY / "kubernetes/make.py"))["prometheus_rule"]()
    assert written.read_text() == made, "run `make deploy-files`"
    (rule,) = documents(written)
    assert (rule["apiVersion"], rule["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    groups = [
        group
        for path in sorted((DEPLOY / "prometheus/rules").glob("*.yml"))
        for document in documents(path)
        for group in document["groups"]
    ]
    assert rule["spec"] == {"groups": groups}
    # The operator writes a resource's spec into Prometheus's configuration.
    promtool = programs.require("promtool")
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rule["spec"]))
    answer = subprocess.run(
        [promtool, "check", "rules", "--lint-fatal", str(tmp_path / "rules.yml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_labels_and_names_that_must_meet_do_meet() -> None:
    base = {
        (resource["kind"], resource["metadata"].get("name")): resource
        for resource in _base()[:]
        if "metadata" in resource
    }
    labels = base["Deployment", "servicebus-hub"]["spec"]["template"]["metadata"]["labels"].items()
    for kind in ("Service", "PodDisruptionBudget", "Deployment"):
        selector = base[kind, "servicebus-hub"]["spec"]["selector"]
        assert selector.get("matchLabels", selector).items() <= labels
    service = base["Service", "servicebus-hub"]
    monitor = base["ServiceMonitor", "servicebus-hub"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    (container,) = base["Deployment", "servicebus-hub"]["spec"]["template"]["spec"]["containers"]
    assert container["ports"][0]["containerPort"] == service["spec"]["ports"][0]["port"] == 9580
    target = base["HorizontalPodAutoscaler", "servicebus-hub"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) in base
    scrape = base["ScrapeConfig", "servicebus-namespaces"]["spec"]
    assert scrape["httpSDConfigs"][0]["url"] == "http://servicebus-hub:9580/sd"


def test_the_settings_say_which_proxies_the_hub_believes() -> None:
    for folder in ("base", "overlays/example"):
        (settings,) = documents(DEPLOY / "kubernetes" / folder / "configmap.yaml")
        assert [ip_network(word) for word in settings["data"]["HUB_TRUSTED_PROXIES"].split()] == (
            [] if folder == "base" else [ip_network("10.244.0.0/16")]
        )


def test_a_rolling_update_leaves_no_gap() -> None:
    (deployment,) = (resource for resource in _base() if resource["kind"] == "Deployment")
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    wait = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    graceful = int(_gunicorn_setting("graceful_timeout"))
    assert wait + graceful < pod["terminationGracePeriodSeconds"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/-/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/-/healthy"


def _gunicorn_setting(name: str) -> str:
    found = re.search(rf"^{name} = (.+)$", (ROOT / "hub/gunicorn.py").read_text(), re.MULTILINE)
    assert found
    return found.group(1)


# --- The settings that deploy/ sets ---


def test_deploy_sets_only_variables_that_the_hub_reads() -> None:
    read = set(re.findall(r'environment\.\w+\(\s*"(HUB_[A-Z_]+)"', (ROOT / "hub/settings.py").read_text()))
    files = [*MANIFESTS, *DEPLOY.glob("*.yaml"), *DEPLOY.glob("systemd/*")]
    for path in files:
        for name in re.findall(r"\b(HUB_[A-Z_]+)\b(?=\s*[:=,}])", path.read_text()):
            assert {name.removesuffix("_FILE"), name} & (read | OF_COMPOSE), f"{name} in {path}"


# --- Compose ---


def compose() -> dict[str, Any]:
    (document,) = documents(DEPLOY / "compose.yaml")
    return document


def test_whatever_compose_refers_to_is_there() -> None:
    file = compose()
    made = _made_secrets()
    for secret in file["secrets"].values():
        assert Path(secret["file"]).name in made
    for name, service in file["services"].items():
        assert set(service.get("secrets", [])) <= set(file["secrets"]), name
        assert set(service.get("depends_on", [])) <= set(file["services"]), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if not source.startswith("./"):
                assert source in file["volumes"], volume
            elif "secrets" not in source and source != "./prometheus":
                assert (DEPLOY / source).exists(), volume


def _made_secrets() -> set[str]:
    script = (DEPLOY / "compose/make-secrets").read_text()
    return set(re.findall(r"^keep (\w+) ", script, re.MULTILINE))


def test_the_hubs_in_compose_are_two_replicas_with_a_folder_each() -> None:
    services = compose()["services"]
    upstreams = re.findall(
        r"^\s+server ([\w-]+):9580", (DEPLOY / "nginx/nginx.conf").read_text(), re.MULTILINE
    )
    assert upstreams == ["hub-1", "hub-2"] * 2  # once for scrapes, once for everything else
    assert set(upstreams) <= set(services)
    assert services["hub-1"]["volumes"][0] != services["hub-2"]["volumes"][0]
    for hub in upstreams:
        assert services[hub]["read_only"] is True
        assert services[hub]["cap_drop"] == ["ALL"]


def test_the_hubs_in_compose_trust_nginx_alone_and_keep_their_addresses() -> None:
    file = yaml.safe_load(
        re.sub(
            r"\$\{\w+:-([^}]*)\}", r"\1", (DEPLOY / "compose.yaml").read_text()
        )  # as compose fills them in
    )
    (network,) = file["networks"]["default"]["ipam"]["config"]
    subnet, given_out = ip_network(network["subnet"]), ip_network(network["ip_range"])
    fixed = {
        name: ip_address(service["networks"]["default"]["ipv4_address"])
        for name, service in file["services"].items()
        if "networks" in service
    }
    assert set(fixed) == {"nginx", "hub-1", "hub-2"}
    assert len(set(fixed.values())) == 3
    for address in fixed.values():
        assert address in subnet
        assert address not in given_out
    for name, service in file["services"].items():
        trusted = service.get("environment", {}).get("HUB_TRUSTED_PROXIES")
        assert trusted == (str(fixed["nginx"]) if name.startswith(("hub-", "prepare")) else None)


def test_docker_compose_reads_the_file() -> None:
    programs.require("docker-compose")
    answer = subprocess.run(
        ["docker-compose", "-f", str(DEPLOY / "compose.yaml"), "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert answer.returncode == 0, answer.stderr


def test_the_script_makes_every_secret_once_and_keeps_it(tmp_path: Path) -> None:
    programs.require("openssl")
    script = shutil.copy(DEPLOY / "compose/make-secrets", tmp_path)
    subprocess.run([script, "hub.example.com"], check=True, capture_output=True, timeout=60)
    folder = tmp_path / "secrets"
    assert folder.stat().st_mode & 0o777 == 0o700
    first = {path.name: path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert set(first) == _made_secrets() | {"tls.crt", "tls.key"}
    assert all(first.values())
    assert first["database_password"] in first["database_url"]
    subprocess.run([script, "hub.example.com"], check=True, capture_output=True, timeout=60)
    assert {path.name: path.read_text() for path in folder.rglob("*") if path.is_file()} == first

    from exporters.credentials.encryption import KeyRing

    ring = KeyRing([first["encryption_keys"]])
    assert ring.open(ring.seal("secret", "row"), "row") == "secret"


# --- nginx, systemd, Prometheus ---


def test_nginx_accepts_its_configuration(tmp_path: Path) -> None:
    nginx = programs.require("nginx")
    programs.require("openssl")
    _certificate(tmp_path)
    text = (DEPLOY / "nginx/nginx.conf").read_text()
    # The names of compose's network don't resolve here.
    text = text.replace("hub-1:9580", "127.0.0.1:9581").replace("hub-2:9580", "127.0.0.1:9582")
    text = text.replace("/etc/nginx/tls", str(tmp_path)).replace("/tmp/nginx", f"{tmp_path}/nginx")
    text = text.replace("listen 80 ", f"listen {free_port()} ").replace(
        "listen 443 ", f"listen {free_port()} "
    )
    (tmp_path / "nginx.conf").write_text(text)
    answer = subprocess.run(
        [nginx, "-t", "-q", "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    warnings = [line for line in answer.stderr.splitlines() if "could not open error log file" not in line]
    assert (answer.returncode, warnings) == (0, [])


def _certificate(folder: Path) -> None:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", "/CN=localhost", "-keyout", f"{folder}/tls.key", "-out", f"{folder}/tls.crt"),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )


def test_systemd_accepts_its_units(tmp_path: Path) -> None:
    analyze = programs.require("systemd-analyze")
    # systemd-analyze checks that the programs exist; /opt has them only where the hub is installed.
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for name in ("python", "gunicorn"):
        (tmp_path / ".venv/bin" / name).symlink_to("/bin/true")
    units = []
    for path in (DEPLOY / "systemd").iterdir():
        unit = tmp_path / path.name
        unit.write_text(path.read_text().replace("/opt/servicebus-hub", str(tmp_path)))
        units.append(str(unit))
    answer = subprocess.run(
        [analyze, "verify", "--man=no", *units], capture_output=True, text=True, check=False, timeout=60
    )
    complaints = [
        line for line in answer.stderr.splitlines() if str(tmp_path) in line or "servicebus" in line
    ]
    assert (answer.returncode, complaints) == (0, [])


def test_static_files_are_collected_as_the_unit_says(tmp_path: Path) -> None:
    (command,) = re.findall(
        r"^#   (.*collectstatic.*)$",
        (DEPLOY / "systemd/servicebus-hub.service").read_text(),
        re.MULTILINE,
    )
    for name in ("hub", "exporters", "templates"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("manage.py", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    python = tmp_path / ".venv/bin/python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    subprocess.run(["sh", "-e", "-c", command], cwd=tmp_path, env=kept, check=True, timeout=120)
    assert (tmp_path / "staticfiles/staticfiles.json").is_file()
    assert not (tmp_path / "var").exists(), "root's keys would lie in the checkout"


def test_promtool_accepts_the_prometheus_of_compose(tmp_path: Path) -> None:
    promtool = programs.require("promtool")
    text = (DEPLOY / "compose/prometheus.yml").read_text()
    for path in ("/run/secrets/scrape_token", "/etc/prometheus/ca.crt"):
        (tmp_path / Path(path).name).write_text("x")
        text = text.replace(path, str(tmp_path / Path(path).name))
    text = text.replace("/etc/prometheus/hub", str(DEPLOY / "prometheus"))
    (tmp_path / "prometheus.yml").write_text(text)
    answer = subprocess.run(
        [promtool, "check", "config", "--syntax-only", str(tmp_path / "prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert answer.returncode == 0, answer.stderr


# --- The image ---


def dockerfile() -> list[str]:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_every_file_that_the_image_copies_exists_and_is_sent_to_the_builder() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert ignored[0] == "*", "only what is listed goes to the builder"
    sent = {entry[1:] for entry in ignored if entry.startswith("!")}
    sources = set()
    for line in dockerfile():
        words = line.split()
        if words[0] == "COPY" and not words[1].startswith("--from"):
            sources |= set(words[1:-1])
    assert sources == sent
    assert all((ROOT / source).exists() for source in sources)


def test_the_image_runs_without_root_and_without_a_compiler() -> None:
    lines = dockerfile()
    last_stage = lines[max(number for number, line in enumerate(lines) if line.startswith("FROM")) :]
    assert [line for line in last_stage if line.startswith("USER")] == ["USER 10001"]
    assert not [line for line in lines if "apt-get" in line or "gcc" in line]
    assert any("--require-hashes" in line and "--only-binary :all:" in line for line in lines)
    # The probe determines the port and whether the hub itself uses TLS; tests/production/test_connections.py runs it.
    (check,) = (line for line in last_stage if line.startswith("HEALTHCHECK"))
    assert check.endswith('CMD ["python", "-m", "hub.probe"]')


def test_the_image_can_not_hold_a_key_of_this_machine() -> None:
    assert "var" not in (ROOT / ".dockerignore").read_text()
    assert os.path.basename(str(ROOT / "deploy/compose/secrets")) in (ROOT / ".gitignore").read_text()
