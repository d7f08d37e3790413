"""Rules over the manifests of one rendering: what the API server does not check, or only when it is too late."""

import re
from typing import Any

import programs

Manifest = dict[str, Any]

# Kinds that the operator of Prometheus defines.
CUSTOM = {"ServiceMonitor", "PrometheusRule"}
SERVICES_OF_HEALTH = {"Movie", "movie.catalog.v1.MovieCatalog"}
PAGES = {"/livez", "/readyz"}


def check(manifests: list[Manifest], flags: dict[str, set[str]]) -> None:
    """Checks all rules. `flags` has the flags and variables of each program."""
    by_kind: dict[str, list[Manifest]] = {}
    for manifest in manifests:
        by_kind.setdefault(manifest["kind"], []).append(manifest)
    workloads = by_kind.get("Deployment", []) + by_kind.get("StatefulSet", [])
    assert len(workloads) == 1, f"{len(workloads)} workloads"
    workload = workloads[0]
    template = workload["spec"]["template"]
    pods = [template, *by_kind.get("Pod", [])]

    identities = [(m["kind"], m["metadata"]["name"]) for m in manifests]
    assert len(identities) == len(set(identities)), f"two manifests with one name: {identities}"
    for kind, name in identities:
        assert len(name) <= 63, f"{kind} {name} has a name of {len(name)} characters"
    for service in by_kind["Service"]:
        name = service["metadata"]["name"]
        assert re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", name), f"Service {name} has a name that is no label of DNS"
    assert "Secret" not in by_kind, "the chart renders a Secret"

    check_selectors(by_kind, workload)
    check_ports(by_kind, template)
    check_references(by_kind, workload, pods)
    for pod in pods:
        check_pod(pod["spec"], flags)
    without_health = {"name": "MOVIE_HEALTH", "value": "false"} in template["spec"]["containers"][0]["env"]
    assert not (without_health and "Pod" in by_kind), "`helm test` checks health, which is off"
    check_end(template["spec"])
    for manifest in manifests:
        if manifest["kind"] in CUSTOM:
            check_custom(manifest, by_kind["Service"])


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    """Returns whether a selector matches labels."""
    return bool(selector) and selector.items() <= labels.items()


def check_selectors(by_kind: dict[str, list[Manifest]], workload: Manifest) -> None:
    """Each selector matches the pods of the workload, and not the pod of `helm test`."""
    template = workload["spec"]["template"]
    labels = template["metadata"]["labels"]
    selectors = [workload["spec"]["selector"]["matchLabels"]]
    selectors += [service["spec"]["selector"] for service in by_kind["Service"]]
    selectors += [m["spec"]["selector"]["matchLabels"] for m in by_kind.get("PodDisruptionBudget", [])]
    selectors += [m["spec"]["podSelector"]["matchLabels"] for m in by_kind.get("NetworkPolicy", [])]
    spread = template["spec"].get("topologySpreadConstraints", [])
    selectors += [constraint["labelSelector"]["matchLabels"] for constraint in spread]
    tests = by_kind.get("Pod", [])
    for selector in selectors:
        assert selects(selector, labels), f"{selector} does not match the pods, which have {labels}"
        # A Service would send calls to the test, a Deployment adopt it.
        assert not any(selects(selector, test["metadata"]["labels"]) for test in tests), f"{selector} matches the test"
    for policy in by_kind.get("NetworkPolicy", []):
        metrics = any(rule["ports"] == [{"port": "metrics"}] for rule in policy["spec"]["ingress"])
        assert metrics or "ServiceMonitor" not in by_kind, "the NetworkPolicy keeps Prometheus out"
        calls = next(rule for rule in policy["spec"]["ingress"] if rule["ports"] == [{"port": "grpc"}])
        peers = [peer.get("podSelector", {}).get("matchLabels", {}) for peer in calls.get("from", [])]
        for test in tests:
            allowed = "from" not in calls or any(selects(peer, test["metadata"]["labels"]) for peer in peers)
            assert allowed, "the NetworkPolicy keeps the test out"


def check_ports(by_kind: dict[str, list[Manifest]], template: Manifest) -> None:
    """Each port that is named or probed exists."""
    container = template["spec"]["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for service in by_kind["Service"]:
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports, f"no port {port['targetPort']}"
            if service["spec"].get("clusterIP") == "None":
                # Its callers get the addresses of pods.
                assert port["port"] == ports[port["targetPort"]], f"a headless service does not translate {port}"
    for policy in by_kind.get("NetworkPolicy", []):
        for rule in policy["spec"]["ingress"]:
            assert {port["port"] for port in rule["ports"]} <= ports.keys(), f"{rule['ports']}: no such port"
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = container[kind]
        if grpc := probe.get("grpc"):
            assert grpc["port"] == ports["grpc"] and grpc["service"] in SERVICES_OF_HEALTH, f"{kind}: {grpc}"
        else:
            assert probe["httpGet"]["port"] == "metrics", f"{kind}: {probe}"
            assert probe["httpGet"]["path"] in PAGES, f"{kind}: {probe}"
    # A pod that has lost its store can still serve reads: restarting it would end them.
    assert "/readyz" not in str(container["livenessProbe"]), "a store that fails would restart the pods"
    assert "MovieCatalog" not in str(container["livenessProbe"]), "a store that fails would restart the pods"


def check_references(by_kind: dict[str, list[Manifest]], workload: Manifest, pods: list[Manifest]) -> None:
    """Each name of another manifest exists."""
    services = {service["metadata"]["name"]: service for service in by_kind["Service"]}
    for scaler in by_kind.get("HorizontalPodAutoscaler", []):
        target = scaler["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) == (workload["kind"], workload["metadata"]["name"]), target
        assert "replicas" not in workload["spec"], "an upgrade would undo what the autoscaler has done"
    for ingress in by_kind.get("Ingress", []):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                names = {port["name"] for port in services[backend["name"]]["spec"]["ports"]}
                assert backend["port"]["name"] in names, f"no port {backend}"
        hosts = {rule["host"] for rule in ingress["spec"]["rules"]}
        secured = {host for tls in ingress["spec"].get("tls", []) for host in tls["hosts"]}
        assert secured in (set(), hosts), f"only {secured} of {hosts} have a certificate"
    if workload["kind"] == "StatefulSet":
        assert services[workload["spec"]["serviceName"]]["spec"]["clusterIP"] == "None", "not headless"
        assert workload["spec"]["replicas"] in (0, 1), "an SQLite store has one writer"
        assert "PodDisruptionBudget" not in by_kind, "a budget for one pod keeps nodes from being drained"
    created = {account["metadata"]["name"] for account in by_kind.get("ServiceAccount", [])}
    for account in by_kind.get("ServiceAccount", []):
        assert account["automountServiceAccountToken"] is False, "a token is mounted"
    for pod in pods:
        name = pod["spec"]["serviceAccountName"]
        assert not created or name in created, f"no service account {name}"
        volumes = {volume["name"] for volume in pod["spec"].get("volumes", [])}
        if pod is workload["spec"]["template"]:
            claims = workload["spec"].get("volumeClaimTemplates", [])
            volumes |= {claim["metadata"]["name"] for claim in claims}
        mounts = [mount for container in pod["spec"]["containers"] for mount in container.get("volumeMounts", [])]
        assert {mount["name"] for mount in mounts} == volumes, f"{mounts} of {volumes}"
        assert not any("subPath" in mount for mount in mounts), "a file mounted by subPath never changes"


def check_pod(spec: Manifest, flags: dict[str, set[str]]) -> None:
    """A pod has no privilege and no token, and its programs know its options."""
    assert spec["automountServiceAccountToken"] is False, "a token is mounted"
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True, security
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}, security
    for container in spec["containers"]:
        security = container["securityContext"]
        expected = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        assert security == expected, security
        assert "memory" in container["resources"]["requests"], container["resources"]
        known = flags[container["name"]]
        names = [variable["name"] for variable in container.get("env", [])]
        assert len(names) == len(set(names)), f"a variable is set twice: {names}"
        options = {name for name in names if name.startswith("MOVIE_")}
        options |= {arg for arg in container.get("args", []) if arg.startswith("--")}
        assert options <= known, f"{container['name']} has no {options - known}"
        for variable in container.get("env", []):
            secret = "postgres" in variable.get("value", "")
            assert not secret, "the URL of the database, which has a password, is in a manifest"
        # What the container is told to read is mounted there.
        mounts = tuple(mount["mountPath"] + "/" for mount in container.get("volumeMounts", []))
        for variable in container.get("env", []):
            path = re.sub("^sqlite:", "", variable.get("value", ""))
            if path.startswith(("/etc/movie-service/", "/data/")):
                assert path.startswith(mounts), f"{path} is not in {mounts}"


def check_end(spec: Manifest) -> None:
    """The pod is not killed before the service has ended by itself."""
    values = {variable["name"]: variable.get("value", "") for variable in spec["containers"][0]["env"]}
    period = spec["terminationGracePeriodSeconds"]
    assert period > programs.stop_seconds(values), f"killed after {period} s"


def check_custom(manifest: Manifest, services: list[Manifest]) -> None:
    """The shape of custom resources, whose schemas are not those of Kubernetes."""
    spec = manifest["spec"]
    assert manifest["apiVersion"] == "monitoring.coreos.com/v1", manifest["apiVersion"]
    if manifest["kind"] == "ServiceMonitor":
        found = [service for service in services if selects(spec["selector"]["matchLabels"], service["metadata"]["labels"])]
        assert len(found) == 1, f"the ServiceMonitor selects {len(found)} services: every pod would count twice"
        names = {port["name"] for port in found[0]["spec"]["ports"]}
        assert spec.keys() == {"selector", "endpoints"}, spec
        for endpoint in spec["endpoints"]:
            assert endpoint.keys() == {"port", "interval", "relabelings"} and endpoint["port"] in names, endpoint
            assert {"targetLabel": "job", "replacement": "movie-service"} in endpoint["relabelings"], endpoint
    else:
        assert spec.keys() == {"groups"} and spec["groups"], spec
        for group in spec["groups"]:
            assert group["name"] and group["rules"], group
            for rule in group["rules"]:
                assert ("alert" in rule) != ("record" in rule) and rule["expr"], rule
