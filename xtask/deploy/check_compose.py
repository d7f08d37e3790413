"""Checks what a Compose file names: files, variables, services, ports and options.

Usage: check_compose.py FILE SERVICE

SERVICE is the program of the service.
"""

import os
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import programs
import yaml

Service = dict[str, Any]

NODE_IMAGE = "movie-service"
METRICS_PORT = 9000
# A password as the file of variables asks for: other letters would have a meaning in a URL.
PASSWORD = "secret1"
# The variable with the version of the image, so that a release need not change the file.
VERSION_VARIABLE = "MOVIE_VERSION"


def load(file: Path) -> dict[str, Any]:
    """Returns the content, with a value for each variable, all of which are in the example of variables."""
    text = file.read_text()
    known = set(re.findall(r"^(\w+)=", (file.parent / ".env.example").read_text(), re.MULTILINE))
    used = set(re.findall(r"\$\{(\w+)", text))
    assert used == known, f"{used} are used, {known} are in .env.example"
    # Without a value, Compose stops and says which variable is missing.
    assert not re.search(r"\$\{\w+\}|\$\{\w+:-|\$\w", text), "a variable may be empty"
    version = programs.version(file.parents[2])
    return yaml.safe_load(
        re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: version if found[1] == VERSION_VARIABLE else PASSWORD, text)
    )


def ports_of(compose: dict[str, Any], folder: Path) -> dict[str, set[int]]:
    """Returns the ports of each service that others call, by its names on the network."""
    settings = (folder / "pgbouncer.ini").read_text()
    pgbouncer = int(re.search(r"^listen_port = (\d+)$", settings, re.MULTILINE)[1])
    by_image = {NODE_IMAGE: {3001, METRICS_PORT}, "films-pgbouncer": {pgbouncer}, "postgres": {5432}}
    by_image |= {"prom/prometheus": {9090}, "prom/alertmanager": {9093}, "grafana/grafana": {3000}}
    ports = {}
    for name, service in compose["services"].items():
        aliases = service.get("networks", {}).get("default", {}).get("aliases", [])
        for host in [name, *aliases]:
            assert host not in ports, f"two services are {host}"
            ports[host] = by_image[service["image"].split(":")[0]]
    return ports


def check_service(name: str, service: Service, compose: dict[str, Any], folder: Path) -> None:
    """Checks what a service names."""
    image, _, tag = service["image"].partition(":")
    assert tag not in ("latest",) and (tag or "build" in service), f"{name}: the image {image} has no version"
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:"), f"{name}: {port} can be reached from other machines"
    depends = service.get("depends_on", {})
    for other in depends:
        assert other in compose["services"], f"{name}: depends on {other}"
        if isinstance(depends, dict) and depends[other]["condition"] == "service_healthy":
            assert "healthcheck" in compose["services"][other], f"{name}: {other} has no health check"
    for config in service.get("configs", []):
        assert config["source"] in compose["configs"], f"{name}: no config {config['source']}"
    for volume in service.get("volumes", []):
        source, target, *mode = volume.split(":")
        if source.startswith("."):
            assert (folder / source).exists(), f"{name}: {source} does not exist"
            assert mode == ["ro"], f"{name}: {source} can be changed"
        else:
            assert source in compose["volumes"], f"{name}: no volume {source}"
        assert target.startswith("/"), f"{name}: {target}"
        if target.startswith("/docker-entrypoint-initdb.d/"):
            # The image would read any other script into its own shell, with its options.
            assert os.access(folder / source, os.X_OK), f"{name}: {source} is not executable"


def check_node(name: str, node: Service, ports: dict[str, set[int]], program: Path, movies: Path) -> None:
    """Checks a node of the service: its options, its database, and that it has time to stop."""
    variables = node["environment"]
    unknown = variables.keys() - programs.flags_of(program)
    assert not unknown, f"{name}: the service has no {unknown}"
    servers = urlsplit(variables["MOVIE_DATABASE"]).netloc.rpartition("@")[2].split(",")
    assert len(servers) == 2, f"{name}: {servers}"
    for server in servers:
        host, port = server.split(":")
        assert int(port) in ports[host], f"{name}: nothing listens on {server}"
    period = int(node["stop_grace_period"].removesuffix("s"))
    assert period > programs.stop_seconds(variables), f"{name}: killed before it has stopped"
    assert node["read_only"] and node["cap_drop"] == ["ALL"], f"{name}: has more rights than it needs"
    programs.check_start(program, [], variables, movies)


def check_monitoring(compose: dict[str, Any], ports: dict[str, set[int]], folder: Path) -> None:
    """Prometheus finds the nodes and Alertmanager, and Grafana finds Prometheus and the dashboard."""
    settings = yaml.safe_load((folder / "../monitoring/prometheus.yml").read_text())
    scraped = {target for job in settings["scrape_configs"] for group in job["static_configs"] for target in group["targets"]}
    nodes = {host for host, own in ports.items() if METRICS_PORT in own}
    for node in scraped:
        host, port = node.split(":")
        assert host in nodes and int(port) == METRICS_PORT, f"Prometheus scrapes {node}, which is no node"
    managers = settings.get("alerting", {}).get("alertmanagers", [])
    for target in [target for manager in managers for group in manager["static_configs"] for target in group["targets"]]:
        host, port = target.split(":")
        assert int(port) in ports[host], f"Prometheus sends alerts to {target}, where nothing listens"
    mounted = {volume.split(":")[1] for volume in compose["services"]["prometheus"]["volumes"]}
    for pattern in settings["rule_files"]:
        assert str(Path("/etc/prometheus") / pattern).rpartition("/")[0] in mounted, f"{pattern} is not mounted"

    for source in yaml.safe_load((folder / "grafana/datasource.yaml").read_text())["datasources"]:
        url = urlsplit(source["url"])
        assert url.port in ports[url.hostname], f"Grafana calls {source['url']}, where nothing listens"
    mounted = {volume.split(":")[1] for volume in compose["services"]["grafana"]["volumes"]}
    for provider in yaml.safe_load((folder / "grafana/dashboards.yaml").read_text())["providers"]:
        path = provider["options"]["path"]
        assert any(target.startswith(path + "/") for target in mounted), f"no dashboard in {path}"


def check_databases(compose: dict[str, Any], ports: dict[str, set[int]]) -> None:
    """Each PgBouncer is before another PostgreSQL server, and the standby knows its primary."""
    hosts = []
    for content in (config["content"] for config in compose["configs"].values()):
        for host, port in re.findall(r"host=(\S+) port=(\d+)", content):
            assert int(port) in ports[host], f"nothing listens on {host}:{port}"
            hosts.append(host)
    assert sorted(hosts) == sorted(set(hosts)) and len(hosts) == 2, f"PgBouncers before {hosts}"
    standbys = [service for service in compose["services"].values() if "PRIMARY" in service.get("environment", {})]
    assert [standby["environment"]["PRIMARY"] in ports for standby in standbys] == [True], standbys


def main() -> None:
    """Checks the file."""
    file, program = (Path(argument).resolve() for argument in sys.argv[1:])
    folder = file.parent
    compose = load(file)
    ports = ports_of(compose, folder)
    root = folder.parents[1]
    movies = root / "databases/movies.json"
    nodes = []
    for name, service in compose["services"].items():
        check_service(name, service, compose, folder)
        if service["image"].startswith(NODE_IMAGE):
            assert service["image"] == f"{NODE_IMAGE}:{programs.version(root)}", f"{name}: {service['image']}"
            check_node(name, service, ports, program, movies)
            nodes.append(name)
    assert len(nodes) == 2, nodes
    check_monitoring(compose, ports, folder)
    check_databases(compose, ports)
    used = {name.split(":")[0] for s in compose["services"].values() for name in s.get("volumes", [])}
    assert compose["volumes"].keys() <= used, f"unused: {compose['volumes'].keys() - used}"
    print(f"Compose: {len(compose['services'])} services; their files, variables, ports and options exist")


main()
