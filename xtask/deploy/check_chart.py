"""Lints, renders and checks the Helm chart.

Usage: check_chart.py CHART RULES SERVICE CLIENT

RULES is a folder with files of rules of Prometheus, which the chart can be given; SERVICE and CLIENT are the programs.
"""

import itertools
import re
import sys
from pathlib import Path
from typing import Any

import chart_rules
import helm_python as helm
import kubernetes_validate
import programs
import yaml

Values = dict[str, Any]

NAMESPACE = "movies"
# The severity of warnings in a report of lint.
WARNING = 2

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
    ({"options": {"webOrigins": ["https://a.example,https://b.example"]}}, "webOrigins"),
    ({"options": {"webOrigins": ["https://*.films.example"]}}, "webOrigins"),
    ({"ingress": {"enabled": True}}, "hosts"),
    ({"ingress": {"enabled": True, "hosts": ["*.films.example"]}}, "options.webOrigins"),
    ({"ingress": {"enabled": True, "hosts": ["films.example:443"]}}, "hosts"),
    ({"ingress": {"enabled": True, "hosts": ["films.example,movies.example"]}}, "hosts"),
    ({"ingress": {"enabled": True, "hosts": ["www.*.example"]}}, "hosts"),
    ({"ingress": {"enabled": True, "hosts": ["https://films.example"]}}, "hosts"),
    ({"fullnameOverride": "films.v2"}, "fullnameOverride"),
    ({"fullnameOverride": "2films"}, "fullnameOverride"),
    ({"nameOverride": "movie.service"}, "nameOverride"),
    ({"networkPolicy": {"enabled": True}, "serviceMonitor": {"enabled": True}}, "networkPolicy.monitoring"),
    ({"autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 2}}, "minReplicas"),
    ({"prometheusRule": {"enabled": True}}, "files"),
    ({"prometheusRule": {"enabled": True, "files": {"alerts": "rules: []"}}}, "groups"),
    ({"topologySpreadConstraints": [{"topologyKey": "zone"}]}, "topologySpreadConstraints"),
    ({"extraEnv": [{"value": "1"}]}, "extraEnv"),
]

# A peer of a network policy.
PEER = {"podSelector": {"matchLabels": {"app": "site"}}}

# Values of which every combination is rendered, unless the chart refuses it.
SWITCHES: list[list[Values]] = [
    [{"store": {"kind": "json"}}, {"store": {"kind": "sqlite"}}, {"store": {"kind": "postgres", "postgres": {"secretName": "db"}}}],
    [{}, {"tls": {"secretName": "tls"}}, {"tls": {"secretName": "tls", "clientCaSecretName": "ca"}}],
    [{}, {"access": {"tokensSecretName": "tokens"}}],
    [{}, {"ingress": {"enabled": True, "hosts": ["films.example"]}}],
    [{}, {"autoscaling": {"enabled": True}}],
    [{}, {"networkPolicy": {"enabled": True, "callers": [PEER], "monitoring": [PEER]}}],
    [{"probes": {"kind": "http"}}, {"probes": {"kind": "grpc", "requireStore": True}}],
    [{"serviceMonitor": {"enabled": True}, "nameOverride": "a" * 63}, {"fullnameOverride": "b" * 80, "serviceAccount": {"create": False}}],
]


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


def options_of(manifests: list[chart_rules.Manifest]) -> tuple[list[str], dict[str, str]]:
    """Returns the arguments and variables of the service's container."""
    workload = next(m for m in manifests if m["kind"] in ("Deployment", "StatefulSet"))
    container = workload["spec"]["template"]["spec"]["containers"][0]
    variables = {variable["name"]: variable.get("value", "") for variable in container["env"]}
    return container.get("args", []), variables


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


def check_releases(chart: helm.Chart, flags: dict[str, set[str]]) -> None:
    """Releases of any name have Services whose names are valid, or are refused."""
    for release in ("films.v2", "a" * 53, "a." * 26 + "a"):
        chart_rules.check(render(chart, {}, release), flags)
    try:
        render(chart, {}, "2films")
    except helm.HelmRenderError as error:
        assert "fullnameOverride" in str(error), error
    else:
        raise AssertionError("a Service has a name that begins with a digit")
    chart_rules.check(render(chart, {"fullnameOverride": "films"}, "2films"), flags)


def check_stopped(chart: helm.Chart) -> None:
    """Each kind of store can be without pods, and SQLite has one at most."""
    for store in ({"kind": "json"}, {"kind": "sqlite"}, {"kind": "postgres", "postgres": {"secretName": "db"}}):
        for replicas in (0, 1, 3):
            manifests = render(chart, {"store": store, "replicas": replicas})
            workload = next(m for m in manifests if m["kind"] in ("Deployment", "StatefulSet"))
            expected = min(replicas, 1) if store["kind"] == "sqlite" else replicas
            assert workload["spec"]["replicas"] == expected, f"{store}, {replicas}: {workload['spec']['replicas']} pods"


def check_notes(chart: helm.Chart) -> None:
    """The notes warn of writes by everyone, and tell of `helm test` only if there is one."""
    cases: list[tuple[Values, str, bool]] = [
        ({}, "WARNING", False),
        ({"access": {"allowAnonymousWrites": True}}, "WARNING", True),
        # A tokens file takes precedence.
        ({"access": {"allowAnonymousWrites": True, "tokensSecretName": "tokens"}}, "WARNING", False),
        ({}, " test films", True),
        ({"options": {"health": False}}, " test films", False),
        ({"tls": {"secretName": "tls", "clientCaSecretName": "ca"}}, " test films", False),
    ]
    for values, words, expected in cases:
        rendered = chart.render(values, name="films", namespace=NAMESPACE)
        notes = "".join(text for path, text in rendered.items() if path.endswith("NOTES.txt"))
        assert "port-forward" in notes, f"no notes: {list(rendered)}"
        assert (words in notes) == expected, f"{values}: {words!r} in the notes is not {expected}: {notes}"


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
    flags = {"movie-service": programs.flags_of(service), "movie-client": programs.flags_of(client)}
    oldest = yaml.safe_load((folder / "Chart.yaml").read_text())["kubeVersion"]
    versions = [re.sub(r">=([\d.]+).*", r"\1", oldest), kubernetes_validate.latest_version()]
    root = folder.parents[2]
    movies = root / "databases/movies.json"

    with helm.Chart.load(folder) as chart:
        own = {chart.version, chart.metadata["appVersion"]}
        assert own == {programs.version(root)}, f"the chart has the versions {own}"
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
            programs.check_start(service, *options_of(manifests), movies)
            kinds |= {manifest["kind"] for manifest in manifests}
            print(f"{name}: {len(manifests)} manifests, {count} valid in Kubernetes {' and '.join(versions)}")
        sources = "".join(template["data"] for template in chart.templates)
        named = set(re.findall(r"^kind: (\w+)$", sources, re.MULTILINE)) | {"Deployment", "StatefulSet"}
        assert kinds == named, f"never rendered: {named - kinds}"
        check_combinations(chart, flags)
        check_releases(chart, flags)
        check_stopped(chart)
        check_notes(chart)
        check_refusals(chart)


main()
