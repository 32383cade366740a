"""Is what lies in deploy/ right, as far as tools can say without starting it?

    check.py compose TIDEWATCH [TOOL]  the compose file, and the files that it mounts
    check.py chart TIDEWATCH TOOL      the Helm chart, with every file of values in its folder ci/
    check.py settings TIDEWATCH        every other file of settings
    check.py dockerfile                hadolint
    check.py unit                      systemd-analyze
    check.py rules                     promtool and amtool

TOOL is the program in tests/deploy/tool; without it compose.yaml is read as YAML alone. Prints what was looked at; every mistake on a line, exit code 1.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm/tidewatch"
# The newest version of Kubernetes that the schemas know, and the oldest that the chart admits.
KUBERNETES = ["1.27", "1.36"]
# Of ten; systemd calls up to 2 "OK".
EXPOSURE_MAX = 2.0
mistakes = []


def expect(holds, what):
    if not holds:
        mistakes.append(what)


def said(*command, **options):
    """What a program prints; None with a mistake when it fails."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if done.returncode == 0:
        return done.stdout
    mistakes.append(f"{' '.join(str(c) for c in command)}:\n{done.stdout}{done.stderr}".rstrip())
    return None


def tool(path, *arguments):
    return said(path, *arguments, cwd=ROOT)


# ---- compose ----


def project_of(path):
    """As Compose's own loader gives it, or the same of the short forms that the file has."""
    file = DEPLOY / "compose.yaml"
    if path is not None:
        text = tool(path, "compose", file)
        return json.loads(text) if text else None
    project = yaml.safe_load(file.read_text())
    for service in project["services"].values():
        mounts = [mount.split(":") for mount in service.get("volumes", [])]
        service["volumes"] = [
            {"type": "bind", "source": DEPLOY / source, "read_only": mode == ["ro"]} if source.startswith(".")
            else {"type": "volume", "source": source}
            for source, _, *mode in mounts
        ]  # fmt: skip
        ports = [port.split(":") for port in service.get("ports", [])]
        service["ports"] = [{"host_ip": port[0], "target": port[-1]} for port in ports]
    return project


def compose(tidewatch, path=None):
    project = project_of(path)
    if project is None:
        return
    services, volumes = project["services"], set(project["volumes"])
    for name, service in services.items():
        is_job = service.get("restart") == "on-failure"
        image = service["image"]
        expect(re.search(r":v?\d+\.\d+\.\d+$", image) or image == "tidewatch:latest", f"{name}: image {image} is not pinned")
        limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
        expect({"cpus", "memory"} <= set(limits), f"{name}: without limits")
        expect(is_job or "healthcheck" in service or image == "tidewatch:latest", f"{name}: without a health check")
        for port in service.get("ports", []):
            expect(port.get("host_ip") == "127.0.0.1", f"{name}: port {port['target']} is open to the network")
        for variable, value in (service.get("environment") or {}).items():
            is_secret = re.search(r"PASSWORD|SECRET|TOKEN|_KEY$", variable)
            expect(not (is_secret and value), f"{name}: {variable} looks like a secret")
        for mount in service.get("volumes", []):
            source = mount["source"]
            is_there = source in volumes if mount["type"] == "volume" else pathlib.Path(source).exists()
            expect(is_there, f"{name}: mounts {source}, which is not there")
            expect(mount["type"] == "volume" or mount.get("read_only"), f"{name}: may write to {source}")
    grafana = services["grafana"]["environment"]
    for file in (DEPLOY / "grafana/provisioning").rglob("*.yaml"):
        for variable in re.findall(r"\$\{(\w+)\}", file.read_text()):
            expect(variable in grafana, f"grafana: {file.name} wants {variable}")
    ports = {"tidewatch": {"9890", "5433"}, "prometheus": {"9090"}, "alertmanager": {"9093"}, "kafka": {"9092"}}
    named = [v for k, v in grafana.items() if k.endswith(("_URL", "_POSTGRES"))]
    named += re.findall(r"targets: \[\"([^\"]+)\"", (DEPLOY / "prometheus/prometheus.yml").read_text())
    named += re.findall(r"\"((?:http://)?\w+:\d+)\"", (DEPLOY / "compose/tidewatch.toml").read_text())
    for address in named:
        host, _, port = address.removeprefix("http://").partition(":")
        expect(host in ("localhost", "0.0.0.0") or port in ports.get(host, ()), f"nothing listens on {address}")
    answer = said(tidewatch, "check", "-c", DEPLOY / "compose/tidewatch.toml")
    if answer is not None:
        expect("warning:" not in answer, answer)
        read = re.search(r"^topics: (.*)$", answer, re.M).group(1).split(", ")
        made = services["topics"]["environment"]["TOPICS"].split()
        expect(sorted(made) == sorted(t for t in read if not t.endswith("@")), f"topics: {made} are made, {read} are read")
    print(f"compose: {len(services)} services")


# ---- chart ----


def chart(tidewatch, path):
    import kubernetes_validate

    for values in sorted((CHART / "ci").glob("*.yaml")):
        text = tool(path, "chart", CHART, values)
        if text is None:
            continue
        documents = [d for d in yaml.safe_load_all(text) if d]
        for document in documents:
            name = f"{values.name}: {document['kind']} {document['metadata']['name']}"
            if document["apiVersion"].startswith("monitoring.coreos.com/"):
                print(f"{name}: no schema for its kind")
                continue
            for version in KUBERNETES:
                try:
                    kubernetes_validate.validate(document, version, strict=True)
                except Exception as error:
                    mistakes.append(f"{name}: {version}: {error}")
        fit_together(values.name, documents)
        settings_of(tidewatch, values.name, documents)
        kinds = sorted(f"{d['kind']}/{d['metadata']['name']}" for d in documents)
        print(f"chart, {values.name}: {', '.join(kinds)}")
    refused(path)


def fit_together(name, documents):
    kind = lambda *kinds: [d for d in documents if d["kind"] in kinds]  # noqa: E731
    expect(not kind("Secret"), f"{name}: holds a Secret")
    maps = {d["metadata"]["name"]: d["data"] for d in kind("ConfigMap")}
    workloads = kind("Deployment", "StatefulSet")
    labels = [w["spec"]["template"]["metadata"]["labels"] for w in workloads]
    matches = lambda wanted: any(wanted.items() <= have.items() for have in labels)  # noqa: E731
    for service in kind("Service"):
        expect(matches(service["spec"]["selector"]), f"{name}: Service {service['metadata']['name']} finds no pod")
    for policy in kind("NetworkPolicy", "PodDisruptionBudget"):
        spec = policy["spec"]
        wanted = (spec.get("podSelector") or spec.get("selector"))["matchLabels"]
        expect(matches(wanted), f"{name}: {policy['kind']} finds no pod")
    for monitor in kind("ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        found = [s for s in kind("Service") if wanted.items() <= s["metadata"]["labels"].items()]
        expect(len(found) == len(workloads), f"{name}: ServiceMonitor finds {len(found)} services")
    for workload in workloads:
        at = f"{name}: {workload['metadata']['name']}"
        expect(workload["spec"]["selector"]["matchLabels"].items() <= workload["spec"]["template"]["metadata"]["labels"].items(), f"{at}: selector")
        pod = workload["spec"]["template"]["spec"]
        expect(pod["securityContext"].get("runAsNonRoot"), f"{at}: may run as root")
        volumes = {v["name"]: v for v in pod["volumes"]} | {v["metadata"]["name"]: v for v in workload["spec"].get("volumeClaimTemplates", [])}
        for container in pod["containers"]:
            secure = container["securityContext"]
            is_hard = secure["readOnlyRootFilesystem"] and not secure["allowPrivilegeEscalation"] and secure["capabilities"]["drop"] == ["ALL"]
            expect(is_hard, f"{at}: {secure}")
            ports = {p["name"] for p in container["ports"]}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                expect(container[probe]["httpGet"]["port"] in ports, f"{at}: {probe}")
            expect("requests" in container["resources"], f"{at}: without requests")
            for mount in container["volumeMounts"]:
                expect(mount["name"] in volumes, f"{at}: mounts {mount['name']}")
        for volume in pod["volumes"]:
            sources = [s["configMap"] for s in volume.get("projected", {}).get("sources", []) if "configMap" in s]
            for source in sources + [volume["configMap"]] if "configMap" in volume else sources:
                missing = [i["key"] for i in source["items"] if i["key"] not in maps.get(source["name"], {})]
                expect(not missing, f"{at}: {source['name']} has no {missing}")


def settings_of(tidewatch, name, documents):
    """The settings of a rendered chart, in a folder as the pods see it."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for kind in ("rules", "routes"):
            (folder / kind).mkdir()
        shutil.copy(DEPLOY / "routes/alertmanager.yml", folder / "routes")
        for document in (d for d in documents if d["kind"] == "ConfigMap"):
            for key, text in document["data"].items():
                is_rules = document["metadata"]["name"].endswith("-rules")
                (folder / "rules" / key if is_rules else folder / key).write_text(text.replace("/etc/tidewatch", str(folder)))
        variables = {v["name"]: "x" for d in documents for v in env_of(d)}
        for file in sorted(folder.glob("*.toml")):
            check_settings(tidewatch, file, f"{name}: {file.name}", variables)


def env_of(document):
    pod = document.get("spec", {}).get("template", {}).get("spec", {}) if isinstance(document.get("spec"), dict) else {}
    return [v for c in pod.get("containers", []) for v in c.get("env", [])]


def check_settings(tidewatch, file, name, variables=()):
    """A small pack instead of the built-in one: its views are planned once, with the settings of compose."""
    text = file.read_text()
    small = 'packs = ["builtin:prometheus"]\n'
    text = re.sub(r"^packs = .*\n", small, text, flags=re.M) if re.search(r"^packs = ", text, re.M) else small + text
    copy = file.with_name(f"checked-{file.name}") if file.is_relative_to(tempfile.gettempdir()) else None
    with tempfile.TemporaryDirectory() as folder:
        copy = copy or pathlib.Path(folder) / file.name
        copy.write_text(text)
        if said(tidewatch, "check", "-c", copy, env={**os.environ, **dict(variables)}) is not None:
            print(f"settings: {name}")


REFUSED = [
    ("a folder as store", "storage: { location: /data }"),
    ("no store", "worker: { replicas: 1 }"),
    ("a password as a value", 'storage: { location: "s3://b/p" }\npostgres: { password: secret }'),
    ("a key that is none", 'storage: { location: "s3://b/p" }\nworkers: 3'),
    ("no worker", 'storage: { location: "s3://b/p" }\nworker: { replicas: 0 }'),
]


def refused(path):
    with tempfile.TemporaryDirectory() as folder:
        for what, text in REFUSED:
            file = pathlib.Path(folder) / "values.yaml"
            file.write_text(text)
            if tool(path, "refuses", CHART, file) is not None:
                print(f"chart: {what} is refused")


# ---- the rest ----


def settings(tidewatch):
    for file in (DEPLOY / "container.toml", DEPLOY / "systemd/tidewatch.toml"):
        check_settings(tidewatch, file, str(file.relative_to(ROOT)))


def dockerfile():
    hadolint = pathlib.Path(sys.executable).with_name("hadolint")
    if said(hadolint, "--failure-threshold", "info", DEPLOY / "Dockerfile") is not None:
        print("Dockerfile: hadolint has nothing to say")


def unit():
    text = (DEPLOY / "systemd/tidewatch.service").read_text().replace("/usr/bin/tidewatch", "/bin/true")
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "tidewatch.service"
        file.write_text(text)
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", file], capture_output=True, text=True)
        expect(done.returncode == 0 and not done.stderr, f"systemd-analyze verify: {done.stderr}")
        answer = said("systemd-analyze", "security", "--offline=true", file)
        if answer is not None:
            exposure = float(re.search(r"exposure level for \S+: ([\d.]+)", answer).group(1))
            expect(exposure <= EXPOSURE_MAX, f"systemd-analyze security: {exposure}, expected at most {EXPOSURE_MAX}")
            print(f"unit: exposure {exposure} of 10")


def rules():
    said("promtool", "check", "config", "--lint=all", "--lint-fatal", DEPLOY / "prometheus/prometheus.yml")
    said("promtool", "test", "rules", DEPLOY / "prometheus/rules_test.yml")
    said("amtool", "check-config", DEPLOY / "alertmanager/alertmanager.yml")
    with tempfile.TemporaryDirectory() as folder:
        # What an Alertmanager is given of it.
        theirs = pathlib.Path(folder) / "alertmanager.yml"
        theirs.write_text(re.split(r"^tidewatch:", (DEPLOY / "routes/alertmanager.yml").read_text(), flags=re.M)[0])
        said("amtool", "check-config", theirs)
    tested = (DEPLOY / "prometheus/rules_test.yml").read_text()
    names = re.findall(r"- alert: (\w+)", (DEPLOY / "prometheus/rules.yml").read_text())
    for name in names:
        expect(f'alertname="{name}"' in tested, f"{name} has no test")
    print(f"rules: {len(names)} alerts")


if __name__ == "__main__":
    parts = {f.__name__: f for f in (compose, chart, settings, dockerfile, unit, rules)}
    parts[sys.argv[1]](*sys.argv[2:])
    for mistake in mistakes:
        print(f"MISTAKE {mistake}")
    sys.exit(1 if mistakes else 0)
