"""Lints, renders and checks the Helm chart.

Usage: check_chart.py CHART RULES SERVICE CLIENT

RULES is a folder with files of rules of Prometheus, which the chart can be given; SERVICE and CLIENT are the programs.
"""

import itertools
import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import chart_rules
import helm_python as helm
import kubernetes_validate
import yaml

Values = dict[str, Any]

NAMESPACE = "movies"
# The severity of warnings in a report of lint.
WARNING = 2
START_SECONDS = 30

# Values that are refused, and a word of the reason.
REFUSED: list[tuple[Values, str]] = [
    ({"replica": 3}, "replica"),
    ({"image": {"digest": "latest"}}, "digest"),
    ({"store": {"kind": "mysql"}}, "kind"),
    ({"store": {"kind": "postgres"}}, "secretName"),
    ({"store": {"kind": "sqlite"}, "autoscaling": {"enabled": True}}, "autoscaling"),
    ({"store": {"postgres": {"url": "postgres://films:secret@db/films"}}}, "url"),
    ({"store": {"sqlite": {"size": "ten"}}}, "size"),
    ({"replicas": "three"}, "replicas"),
    ({"replicas": -1}, "replicas"),
    ({"tls": {"clientCaSecretName": "ca"}}, "tls/secretName"),
    ({"tls": {"secretName": "Films TLS"}}, "secretName"),
    ({"tls": {"secretName": "films-tls"}, "probes": {"kind": "grpc"}}, "tls/secretName"),
    ({"probes": {"kind": "grpc"}, "options": {"health": False}}, "options"),
    ({"probes": {"kind": "exec"}}, "kind"),
    ({"options": {"serch": True}}, "serch"),
    ({"options": {"search": "maybe"}}, "search"),
    ({"options": {"limits": {"idle": "soon"}}}, "idle"),
    ({"options": {"webOrigins": ["films.example"]}}, "webOrigins"),
    ({"shutdown": {"graceSeconds": "20s"}}, "graceSeconds"),
    ({"shutdown": {"graceSeconds": 0}}, "graceSeconds"),
    ({"service": {"port": 70000}}, "port"),
    ({"ingress": {"enabled": True}}, "hosts"),
    ({"autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 2}}, "minReplicas"),
    ({"prometheusRule": {"enabled": True}}, "files"),
    ({"prometheusRule": {"enabled": True, "files": {"alerts": "rules: []"}}}, "groups"),
    ({"topologySpreadConstraints": [{"topologyKey": "zone"}]}, "topologySpreadConstraints"),
    ({"extraEnv": [{"value": "1"}]}, "extraEnv"),
]

# Values of which every combination is rendered, unless the chart refuses it.
SWITCHES: list[list[Values]] = [
    [{"store": {"kind": "json"}}, {"store": {"kind": "sqlite"}}, {"store": {"kind": "postgres", "postgres": {"secretName": "db"}}}],
    [{}, {"tls": {"secretName": "tls"}}, {"tls": {"secretName": "tls", "clientCaSecretName": "ca"}}],
    [{}, {"access": {"tokensSecretName": "tokens"}}],
    [{}, {"ingress": {"enabled": True, "hosts": ["films.example"]}}],
    [{}, {"autoscaling": {"enabled": True}}],
    [{}, {"networkPolicy": {"enabled": True, "callers": [{"podSelector": {"matchLabels": {"app": "site"}}}]}}],
    [{"probes": {"kind": "http"}}, {"probes": {"kind": "grpc", "requireStore": True}}],
    [{"serviceMonitor": {"enabled": True}, "nameOverride": "a" * 63}, {"fullnameOverride": "b" * 80, "serviceAccount": {"create": False}}],
]


def flags_of(program: str) -> set[str]:
    """Returns the flags and variables of a program, as its help has them."""
    printed = subprocess.run([program, "--help"], capture_output=True, text=True, check=True, timeout=10).stdout
    return set(re.findall(r"--[a-z-]+|\bMOVIE_[A-Z_]+", printed))


def render(chart: helm.Chart, values: Values, release: str = "films") -> list[chart_rules.Manifest]:
    """Returns the manifests of a release."""
    rendered = chart.render(values, name=release, namespace=NAMESPACE)
    manifests = [text for path, text in rendered.items() if not path.endswith("NOTES.txt")]
    return [manifest for text in manifests for manifest in yaml.safe_load_all(text) if manifest]


def check_lint(folder: Path, values: Values, name: str) -> None:
    """The linter of Helm finds nothing to warn of."""
    report = helm.lint(folder, values, strict=True, namespace=NAMESPACE)
    messages = [message for message in report["messages"] if message["severity"] >= WARNING]
    assert not messages and not report["errors"], f"{name}: {messages} {report['errors']}"


def validate(manifests: list[chart_rules.Manifest], versions: list[str]) -> int:
    """Validates manifests against the schemas of versions of Kubernetes, and returns how many."""
    count = 0
    for manifest in manifests:
        if manifest["kind"] not in chart_rules.CUSTOM:
            for version in versions:
                kubernetes_validate.validate(manifest, version, strict=True)
            count += 1
    return count


def check_start(manifests: list[chart_rules.Manifest], service: str, movies: Path) -> None:
    """The service starts with the rendered options, except for addresses and files that are not on this machine."""
    workload = next(m for m in manifests if m["kind"] in ("Deployment", "StatefulSet"))
    container = workload["spec"]["template"]["spec"]["containers"][0]
    files = {"MOVIE_TLS_CERT", "MOVIE_TLS_KEY", "MOVIE_TLS_CLIENT_CA", "MOVIE_TOKENS"}
    rendered = {variable["name"]: variable.get("value", "") for variable in container["env"]}
    options = {name: value for name, value in rendered.items() if name not in files}
    here = {"MOVIE_DATABASE": str(movies), "MOVIE_LISTEN": "127.0.0.1:0", "MOVIE_METRICS": "127.0.0.1:0"}
    environment = {"PATH": os.environ["PATH"], **options, **here}
    command = [service, *container.get("args", [])]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as running:
        log = b""
        deadline = time.monotonic() + START_SECONDS
        while b"serving " not in log:
            ready, _, _ = select.select([running.stderr], [], [], max(0, deadline - time.monotonic()))
            more = os.read(running.stderr.fileno(), 65536) if ready else b""
            if not more:
                running.kill()
                raise AssertionError(f"the service does not start with {options}:\n{log.decode()}")
            log += more
        running.kill()


def merged(parts: tuple[Values, ...]) -> Values:
    """Returns the values of all parts, which have no key in common."""
    return {key: value for part in parts for key, value in part.items()}


def check_combinations(chart: helm.Chart, flags: dict[str, set[str]]) -> None:
    """The rules hold for every combination of switches that the chart accepts."""
    rendered = refused = 0
    for parts in itertools.product(*SWITCHES):
        values = merged(parts)
        try:
            manifests = render(chart, values)
        except helm.HelmValuesError:
            grpc_over_tls = "tls" in values and values["probes"]["kind"] == "grpc"
            scaled_sqlite = "autoscaling" in values and values["store"]["kind"] == "sqlite"
            assert grpc_over_tls or scaled_sqlite, f"refused {values}"
            refused += 1
        else:
            chart_rules.check(manifests, flags)
            rendered += 1
    assert rendered and refused
    print(f"combinations of values: {rendered} rendered, {refused} refused")


def check_refusals(chart: helm.Chart) -> None:
    """Wrong values are refused, for the right reason."""
    for values, reason in REFUSED:
        try:
            chart.render(values, name="films", namespace=NAMESPACE)
        except (helm.HelmValuesError, helm.HelmRenderError) as error:
            assert reason in str(error), f"{values} is refused for another reason: {error}"
        else:
            raise AssertionError(f"{values} is accepted")
    print(f"wrong values: {len(REFUSED)} refused")


def main() -> None:
    """Checks the chart."""
    folder, rules, service, client = (Path(argument).resolve() for argument in sys.argv[1:])
    flags = {"movie-service": flags_of(str(service)), "movie-client": flags_of(str(client))}
    oldest = yaml.safe_load((folder / "Chart.yaml").read_text())["kubeVersion"]
    versions = [re.sub(r">=([\d.]+).*", r"\1", oldest), kubernetes_validate.latest_version()]
    movies = folder.parents[2] / "databases/movies.json"

    with helm.Chart.load(folder) as chart:
        cases: dict[str, Values] = {"the default values": {}}
        for path in sorted((folder / "ci").glob("*.yaml")):
            cases[path.name] = helm.values_from_yaml(path.read_text())
        files = {path.stem: path.read_text() for path in sorted(rules.glob("*.yaml"))}
        if files:
            cases["the rules of deploy/monitoring"] = {"prometheusRule": {"enabled": True, "files": files}}
        kinds: set[str] = set()
        for name, values in cases.items():
            check_lint(folder, values, name)
            manifests = render(chart, values)
            chart_rules.check(manifests, flags)
            count = validate(manifests, versions)
            check_start(manifests, str(service), movies)
            kinds |= {manifest["kind"] for manifest in manifests}
            print(f"{name}: {len(manifests)} manifests, {count} valid in Kubernetes {' and '.join(versions)}")
        sources = "".join(template["data"] for template in chart.templates)
        named = set(re.findall(r"^kind: (\w+)$", sources, re.MULTILINE)) | {"Deployment", "StatefulSet"}
        assert kinds == named, f"never rendered: {named - kinds}"
        check_combinations(chart, flags)
        check_refusals(chart)


main()
