"""The image, Compose and the rest: linted, read strictly, and the image's steps run as it runs them."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import compose_spec
import httpx
import pytest
import yaml

from collector.demo import backing

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILES = (DEPLOY / "docker" / "Dockerfile", DEPLOY / "compose" / "shop.Dockerfile")
MAX_PACKAGES_MB = 245
"""With distroless' Python (53 MB) the image stays below 300 MB."""


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda p: p.name)
def test_hadolint(path: Path) -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run(
        [hadolint, "--failure-threshold", "info", path], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout


def test_the_image_is_neither_root_nor_shell() -> None:
    text = DOCKERFILES[0].read_text()
    final = text[text.rindex("\nFROM ") :]

    assert "distroless" in final
    assert re.search(r"^USER 65532:65532$", final, re.MULTILINE)
    assert "HEALTHCHECK" in final
    assert "RUN" not in final


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda p: p.name)
def test_all_that_is_copied_is_there_and_not_ignored(path: Path) -> None:
    let_in = set(path.with_name(f"{path.name}.dockerignore").read_text().split())
    for line in path.read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source
                folders = [Path(source), *Path(source).parents]
                assert {f"!{folder}" for folder in folders} & let_in, source


def test_compose_is_read_strictly_and_mounts_what_is_there() -> None:
    path = DEPLOY / "compose" / "compose.yaml"
    merged = yaml.safe_load(path.read_text())  # which resolves `<<`
    compose = compose_spec.PyCompose.from_yaml(yaml.safe_dump(merged))
    assert {"spanlint", "shop", "prometheus", "alertmanager", "grafana", "tempo"} <= set(
        compose.service_names()
    )

    for name, service in merged["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (path.parent / source).exists(), source


def test_a_misspelt_key_is_refused() -> None:
    with pytest.raises(Exception, match="comand"):
        compose_spec.PyCompose.from_yaml("services: {a: {image: x, comand: [y]}}")


def test_settings_of_compose_and_prometheus() -> None:
    from collector.settings import load

    load(str(DEPLOY / "compose" / "spanlint.yaml"), {})
    promtool = shutil.which("promtool")
    assert promtool, "promtool is not on PATH: run ./dev test, which unpacks it"
    done = subprocess.run(
        [promtool, "check", "config", "--syntax-only", DEPLOY / "compose" / "prometheus.yml"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder that the image's build stage makes, by the same two commands."""
    # Open to the user that it will run as, which pytest's folders are not.
    folder = Path(tempfile.mkdtemp(prefix="spanlint-image-"))
    folder.chmod(0o755)
    wheels = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", wheels, ROOT], check=True)
    where = ["--target", folder, "-c", ROOT / "constraints.txt"]
    subprocess.run([*pip, "install", *where, *wheels.glob("*.whl"), *native_wheels()], check=True)
    yield folder
    shutil.rmtree(folder)


def native_wheels() -> list[Path]:
    """The native decoder, where there is a Rust toolchain: `./dev setup` keeps what it built."""
    stamp = ROOT / ".venv" / "native"
    if not stamp.exists():
        return []
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = list((caches / "spanlint" / "native" / stamp.read_text().strip()).glob("*.whl"))
    assert len(found) == 1
    return found


def test_the_image_is_slim_and_starts_as_nobody(image: Path, tmp_path: Path) -> None:
    slim = [DEPLOY / "docker" / "slim.sh", image]
    said = subprocess.run(slim, capture_output=True, text=True, check=True).stdout
    assert int(said) <= MAX_PACKAGES_MB
    subprocess.run(["chmod", "-R", "a+rX", image], check=True)

    admin, http, grpc = (f"127.0.0.1:{backing.free_port()}" for _ in range(3))
    addresses = {"SPANLINT_ADMIN": admin, "SPANLINT_OTLP_HTTP": http, "SPANLINT_OTLP_GRPC": grpc}
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [_python(), "-m", "collector.cli.main", "serve"],
            cwd="/",
            env={"PYTHONPATH": str(image), "PYTHONDONTWRITEBYTECODE": "1", **addresses},
            stdout=output,
            stderr=subprocess.STDOUT,
            **_account(),
        )
    try:
        ready = f"http://{admin}/readyz"
        backing.wait_until(lambda: _answers(ready), process, log)
        decoder = "native" if native_wheels() else "reference"
        assert f'decoder="{decoder}"' in httpx.get(f"http://{admin}/metrics").text
    finally:
        backing.stop(process, signal.SIGTERM)
    assert process.returncode == 0, log.read_text()


def _account() -> dict[str, object]:
    """Root becomes nobody; everybody else is no root already."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _python() -> str:
    """A Python of our version that the other user may run: Debian's, as in the image, or our own."""
    version = "{}.{}".format(*sys.version_info)
    tell = "import sys; print('{}.{}'.format(*sys.version_info))"
    for candidate in ("/usr/bin/python3", str(Path(sys.executable).resolve())):
        try:
            done = subprocess.run(
                [candidate, "-c", tell],
                capture_output=True, text=True, check=False, cwd="/", **_account(),
            )  # fmt: skip
        except OSError:
            continue
        if done.stdout.strip() == version:
            return candidate
    raise AssertionError(f"no Python {version} that somebody else than root may run")


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).status_code == 200
    except httpx.TransportError:
        return False


def test_the_unit_runs_what_is_installed_and_confines_it() -> None:
    unit = (DEPLOY / "systemd" / "spanlint.service").read_text()
    command = re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    assert command

    assert command[1].split()[1:] == [
        "serve", "--config", "/etc/spanlint/spanlint.yaml",
        "--state", "/var/lib/spanlint/state.sqlite",
    ]  # fmt: skip
    for line in ("DynamicUser=yes", "ProtectSystem=strict", "NoNewPrivileges=yes"):
        assert line in unit


@pytest.mark.parametrize("path", ["ci/github-action.yaml", "ci/gitlab-ci.yaml"])
def test_ci_recipes_call_capture_with_options_that_exist(path: str) -> None:
    text = (DEPLOY / path).read_text()
    yaml.safe_load(text)
    ours = re.search(r"spanlint capture(.*?)-- ", text.replace("\n", " "))
    assert ours
    documented = (ROOT / "docs" / "cli.md").read_text().split("## spanlint capture")[1]
    documented = documented.split("\n## ")[0]
    for option in re.findall(r"--[a-z-]+", ours[1]):
        assert f"`{option}`" in documented


LIBRARY = """
import sqlite3

from opentelemetry import trace


def test_books():
    books = sqlite3.connect(":memory:").cursor()
    books.execute("CREATE TABLE authors (id int, name text)")
    for n in (10, 14, 18, 12):
        with trace.get_tracer("t").start_as_current_span("GET /books", kind=trace.SpanKind.SERVER):
            for i in range(n):
                books.execute("SELECT name FROM authors WHERE id = ?", (i,)).fetchone()
"""


@pytest.mark.parametrize(
    ("path", "report"),
    [("ci/github-action.yaml", "spanlint.sarif"), ("ci/gitlab-ci.yaml", "spanlint.md")],
)
def test_the_command_of_a_ci_recipe_finds_what_the_tests_did(
    path: str, report: str, tmp_path: Path
) -> None:
    """As the job runs it, on a library whose tests have an N+1: it fails, and its report says why."""
    recipe = json.dumps(yaml.safe_load((DEPLOY / path).read_text()))
    (command,) = re.findall(r'"(?:\S+/)?(spanlint capture [^"]*?)(?:\\n)?"', recipe)
    (tmp_path / "test_books.py").write_text(LIBRARY)
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env={**os.environ, "PATH": programs},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert "N101" in (tmp_path / report).read_text()
    if report.endswith("sarif"):
        (run,) = json.loads((tmp_path / report).read_text())["runs"]
        assert [r["ruleId"] for r in run["results"]] == ["N101"]


def test_the_collectors_copy_is_not_sampled() -> None:
    config = yaml.safe_load((DEPLOY / "otel-collector" / "tee.yaml").read_text())
    pipelines = config["service"]["pipelines"]

    assert not any("sampl" in p for p in pipelines["traces/spanlint"]["processors"])
    named = {n for p in pipelines.values() for n in (*p["receivers"], *p["exporters"])}
    assert named <= {*config["receivers"], *config["exporters"]}
