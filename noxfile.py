"""
Every check there is; CI only calls it.

``nox -s demo`` and ``nox -s tests`` are the two commands of the README.
Sessions test the wheel that ships, in cargo's release profile: the optimiser can
take away what the dev profile has, as it once did with what ends daemon threads.
The dev profile is for the edit loop, ``maturin develop``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = True
nox.options.sessions = ["tests"]

ROOT = Path(__file__).parent
GROUPS = nox.project.load_toml("pyproject.toml")
MINORS = range(10, 16)
PYTHONS_VARIABLE = "EVENTLET_ASYNCIO_PYTHONS"
# The last ones with a worker for Eventlet, and one without.
GUNICORNS = ("23.0.0", "25.3.0", "27.0.1")
# What the apps session takes OpenStack Swift's tests from.
SWIFT = "2.38.3"
SWIFT_NEEDS = (
    "boto3>=1.9", "keystonemiddleware>=4.17", "lxml>=4.2.3", "mock>=3", "pastedeploy>=2",
    "pyeclib>=1.6.4", "python-swiftclient>=3.2", "requests>=2.14.2",
    "requests-mock>=1.2", "xattr>=0.7.2",
)  # fmt: skip
# Names the folder that holds `conformance` and `bench`; the checkout by default.
HARNESS_VARIABLE = "EVENTLET_ASYNCIO_HARNESS"


def group(*names: str) -> list[str]:
    """Return the requirements of pyproject's dependency groups."""
    return list(nox.project.dependency_groups(GROUPS, *names))


def interpreter(session: nox.Session) -> str:
    """Return the path of the session's interpreter."""
    return str(Path(session.bin) / "python")


def build_wheel(session: nox.Session, python: str) -> Path:
    """Build the wheel that ships for one interpreter into a folder of its own."""
    out = Path(session.create_tmp()).resolve() / "wheel"
    shutil.rmtree(out, ignore_errors=True)
    session.run(
        "maturin", "build", "--locked", "--release", "--interpreter", python,
        "--out", str(out),
    )  # fmt: skip
    (wheel,) = out.glob("*.whl")
    return wheel


def check_style(session: nox.Session) -> None:
    """Run what judges the sources of both languages without running them."""
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy", "--python-executable", interpreter(session))
    session.run("python", "tools/stubs.py", "--check")
    session.run("python", "tools/licences.py", "--check")
    session.run("python", "tools/scan_names.py", "--check")
    session.run("cargo", "fmt", "--all", "--check", external=True)
    cargo(session, "clippy", "--workspace", "--all-targets", "--", "-D", "warnings")
    cargo(
        session, "clippy", "--all-targets", "--no-default-features",
        "--", "-D", "warnings",
    )  # fmt: skip


def cargo(session: nox.Session, command: str, *arguments: str) -> None:
    """Run a cargo command that compiles, against the session's interpreter."""
    session.run(
        "cargo", command, "--locked", *arguments,
        env={"PYO3_PYTHON": interpreter(session)},
        external=True,
    )  # fmt: skip


def run_pytest(session: nox.Session, python: str, wheel: Path, *arguments: str) -> None:
    """Run pytest on an installed wheel, which the activation tests reuse."""
    session.run(
        python, "-m", "pytest", *arguments,
        env={"EVENTLET_ASYNCIO_WHEEL": str(wheel), "EVENTLET_HUB": "asyncio"},
        external=True,
    )  # fmt: skip


@nox.session
def demo(session: nox.Session) -> None:
    """Build and install the wheel as a user would, and run the tutorial's program."""
    session.install(".", *group("demo"))
    session.run(
        "python", "docs/tutorial/asyncio_inside.py", *session.posargs,
        env={"EVENTLET_HUB": "asyncio"},
    )  # fmt: skip


@nox.session
def tests(session: nox.Session) -> None:
    """Run everything that a change must pass; arguments go to pytest."""
    session.install(*group("lint", "test"))
    check_style(session)
    cargo(session, "test", "--no-default-features")
    cargo(session, "test", "--package", "eventlet_scan")
    python = interpreter(session)
    wheel = build_wheel(session, python)
    session.install("--force-reinstall", "--no-deps", str(wheel))
    session.run("python", "-m", "mypy.stubtest", "eventlet_asyncio._core")
    # In a folder of its own: what the differential tests compare with.
    upstream = Path(session.create_tmp()).resolve() / "upstream"
    if not upstream.exists():
        session.run(
            "python", "-m", "pip", "install", "--quiet", "--target", str(upstream),
            *group("differential"),
        )  # fmt: skip
    session.env["DIFFERENTIAL_UPSTREAM"] = str(upstream)
    run_pytest(session, python, wheel, *session.posargs)


@nox.session
def stress(session: nox.Session) -> None:
    """Run the programs that must not crash for longer, with numpy's deep stacks too."""
    session.install(*group("test"), "numpy")
    python = interpreter(session)
    wheel = build_wheel(session, python)
    session.install("--force-reinstall", "--no-deps", str(wheel))
    session.run(
        python, "-m", "pytest", "tests/isolated", "--timeout=180", *session.posargs,
        env={
            "EVENTLET_HUB": "asyncio",
            "STRESS_SECONDS": "60",
            "STRESS_SPAWNS": "1000000",
            "STRESS_CONNECTIONS": "10000",
        },
        external=True,
    )  # fmt: skip


@nox.session
def uvloop(session: nox.Session) -> None:
    """Run the tests of the engine and of the public modules with the hub on uvloop."""
    session.install(*group("test"))
    python = interpreter(session)
    wheel = build_wheel(session, python)
    session.install("--force-reinstall", "--no-deps", str(wheel))
    session.run(
        python, "-m", "pytest", "tests/core", "tests/api", *session.posargs,
        env={
            "EVENTLET_HUB": "asyncio",
            "EVENTLET_ASYNCIO_LOOP": "uvloop:new_event_loop",
        },
        external=True,
    )  # fmt: skip


@nox.session
def apps(session: nox.Session) -> None:
    """
    Run real applications with their servers; arguments go to pytest.

    The servers are Debian's: redis-server, postgresql, mariadb-server,
    rabbitmq-server and zookeeper, the browser its chromium, with npm for what runs in
    it, and its liberasurecode-dev where Swift's pyeclib has no wheel; what else is
    missing is skipped.
    With APPS_HUB=epolls the applications run on upstream, for comparison.
    """
    session.install("maturin>=1.9.4,<2", *group("apps"))
    python = interpreter(session)
    wheel = build_wheel(session, python)
    session.install("--force-reinstall", "--no-deps", str(wheel))
    gunicorns = []
    for version in GUNICORNS:
        folder = Path(session.create_tmp()).resolve() / f"gunicorn-{version}"
        gunicorns.append(str(folder))
        if not folder.exists():
            session.run(
                python, "-m", "pip", "install", "--quiet", "--no-deps",
                "--target", str(folder), f"gunicorn=={version}",
            )  # fmt: skip
    session.run(
        python, "-m", "pytest", "-p", "pytest_timeout",
        *(session.posargs or ["tests/apps", "tests/test_examples.py"]),
        env={
            "APPS_GUNICORN": os.pathsep.join(gunicorns),
            **browser_variables(session),
            **swift_variables(session, python),
            "EVENTLET_HUB": "asyncio",
            # Applications bring plugins along that are meant for their users.
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        external=True,
    )  # fmt: skip


@nox.session
def libraries(session: nox.Session) -> None:
    """
    Run libraries' own tests without Eventlet and beside it, and compare.

    Arguments go to pytest.
    """
    session.install("maturin>=1.9.4,<2", *group("libraries"))
    python = interpreter(session)
    wheel = build_wheel(session, python)
    session.install("--force-reinstall", "--no-deps", str(wheel))
    sources = Path(session.create_tmp()).resolve() / "sources"
    for library in ("aiosqlite", "anyio", "asgiref", "janus"):
        if not list(sources.glob(f"{library}-*/")):
            session.run(
                python, "-m", "pip", "download", "--quiet", "--no-deps",
                "--no-binary", library, "--dest", str(sources), library,
            )  # fmt: skip
            (archive,) = sources.glob(f"{library}-*.tar.gz")
            shutil.unpack_archive(archive, sources, filter="data")
            archive.unlink()
    session.run(
        python, "-m", "pytest", "-p", "pytest_timeout",
        *(session.posargs or ["tests/libraries"]),
        env={"EVENTLET_HUB": "asyncio", "LIBRARIES_SOURCES": str(sources)},
        external=True,
    )  # fmt: skip


@nox.session
def differential(session: nox.Session) -> None:
    """
    Run random programs here and on upstream, or on plain asyncio, and compare.

    Arguments go to each run; without any, 100,000 programs of either kind are run.
    """
    session.install("maturin>=1.9.4,<2", *group("differential"))
    python = interpreter(session)
    wheel = build_wheel(session, python)
    session.install("--force-reinstall", "--no-deps", str(wheel))
    failed = []
    for kind in ("green", "tasks"):
        findings = Path(session.create_tmp()).resolve() / f"{kind}.json"
        try:
            session.run(
                "python", "tests/differential", kind, "--json", str(findings),
                *(session.posargs or ["--seeds", "0:100000"]),
            )  # fmt: skip
        except CommandFailed:
            failed.append(f"{kind} ({findings})")
    if failed:
        session.error("differences: " + ", ".join(failed))


def browser_variables(session: nox.Session) -> dict[str, str]:
    """Name the browser and the client that runs in it, where both are to be had."""
    browser, npm = shutil.which("chromium"), shutil.which("npm")
    if browser is None or npm is None:
        return {}
    folder = Path(session.create_tmp()).resolve() / "npm"
    client = folder / "node_modules/socket.io-client/dist/socket.io.min.js"
    if not client.exists():
        session.run(
            npm, "install", "--silent", "--no-audit", "--no-fund",
            "--prefix", str(folder), "socket.io-client@4",
            external=True,
        )  # fmt: skip
    return {"APPS_CHROMIUM": browser, "APPS_SOCKETIO_CLIENT": str(client)}


def swift_variables(session: nox.Session, python: str) -> dict[str, str]:
    """Name Swift's sources, which hold its tests, and what those import beside them."""
    folder = Path(session.create_tmp()).resolve() / f"swift-{SWIFT}"
    site = folder / "site"
    if not site.exists():
        session.run(
            python, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "swift",
            "--dest", str(folder.parent), f"swift=={SWIFT}",
        )  # fmt: skip
        shutil.unpack_archive(f"{folder}.tar.gz", folder.parent)
        session.run(
            python, "-m", "pip", "install", "--quiet", "--target", str(site),
            *SWIFT_NEEDS,
        )  # fmt: skip
    return {"APPS_SWIFT": str(folder)}


@nox.session
def tools(session: nox.Session) -> None:
    """Run tools for developers and operators: coverage, profilers, debuggers, gRPC."""
    session.install("maturin>=1.9.4,<2", *group("tools"))
    python = interpreter(session)
    wheel = build_wheel(session, python)
    session.install("--force-reinstall", "--no-deps", str(wheel))
    session.run(
        python, "-m", "pytest", "-p", "pytest_timeout",
        *(session.posargs or ["tests/tools"]),
        env={"EVENTLET_HUB": "asyncio", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        external=True,
    )  # fmt: skip


@nox.session
@nox.parametrize("pytest", ["8", "9"])
def plugins(session: nox.Session, pytest: str) -> None:
    """Run our pytest plugin beside others, all of them loaded, on two of pytest's."""
    session.install("maturin>=1.9.4,<2", f"pytest=={pytest}.*", *group("plugins"))
    python = interpreter(session)
    wheel = build_wheel(session, python)
    session.install("--force-reinstall", "--no-deps", str(wheel))
    session.run(
        python, "-m", "pytest", *["-p", "no:randomly", "-p", "no:xdist"],
        *(session.posargs or ["tests/testing"]),
        external=True,
    )  # fmt: skip


@nox.session
def fuzz(session: nox.Session) -> None:
    """Feed the parsers what nobody meant to send, a minute each; or as many seconds."""
    if shutil.which("cargo-fuzz") is None:
        session.error(
            "cargo-fuzz is missing: cargo install cargo-fuzz --locked, and"
            " rustup toolchain install nightly"
        )
    seconds = session.posargs[0] if session.posargs else "60"
    for target in sorted(path.stem for path in (ROOT / "fuzz").glob("*.rs")):
        corpus = ROOT / "fuzz" / "corpus" / target
        corpus.mkdir(parents=True, exist_ok=True)
        words = ["-dict=fuzz/http.dict"] if target.endswith("_head") else []
        session.run(
            "cargo", "+nightly", "fuzz", "run", target,
            str(corpus), f"fuzz/seeds/{target}",
            "--", f"-max_total_time={seconds}", *words,
            external=True,
        )  # fmt: skip


@nox.session
def lint(session: nox.Session) -> None:
    """Judge the sources without running them; part of ``tests``."""
    session.install(*group("lint"))
    check_style(session)


@nox.session
def rust(session: nox.Session) -> None:
    """Run the tests of the layers that need no interpreter; part of ``tests``."""
    session.run(
        "cargo", "test", "--locked", "--no-default-features", *session.posargs,
        external=True,
    )  # fmt: skip
    session.run(
        "cargo", "test", "--locked", "--package", "eventlet_scan", external=True
    )


@nox.session
def pythons(session: nox.Session) -> None:
    """
    Run the tests on every CPython found here; arguments go to pytest.

    Looks at the paths in EVENTLET_ASYNCIO_PYTHONS (separated as in PATH), or
    else for python3.10 to python3.15 on PATH and in pyenv.
    """
    found = find_pythons(session)
    session.log("interpreters: " + ", ".join(found.values()))
    session.install("maturin>=1.9.4,<2")
    failed = []
    for version, python in found.items():
        session.log(f"CPython {version}")
        try:
            check_python(session, version, python)
        except CommandFailed:
            # The others may fail as well, or show that it is this one alone.
            failed.append(version)
    if failed:
        session.error(f"failed on CPython {', '.join(failed)}")


def check_python(session: nox.Session, version: str, python: str) -> None:
    """Build, install and test with one interpreter, in an environment of its own."""
    wheel = build_wheel(session, python)
    home = Path(session.create_tmp()).resolve() / f"venv-{version}"
    session.run(python, "-m", "venv", "--clear", str(home), external=True)
    own = str(home / "bin" / "python")
    session.run(
        own, "-m", "pip", "install", "--quiet", str(wheel), *group("test"),
        external=True,
    )  # fmt: skip
    run_pytest(session, own, wheel, *session.posargs)


def find_pythons(session: nox.Session) -> dict[str, str]:
    """Map each version found, down to its patch level, to an interpreter that runs."""
    named = os.environ.get(PYTHONS_VARIABLE)
    if named:
        found = {}
        for path in named.split(os.pathsep):
            version = version_of(path)
            if version is None:
                session.error(f"{PYTHONS_VARIABLE} names {path}, which does not run")
            found[version] = path
        return found
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = {}
    for minor in MINORS:
        candidates = [f"python3.{minor}"]
        candidates += sorted(map(str, pyenv.glob(f"versions/3.{minor}.*/bin/python")))
        for candidate in candidates:
            version = version_of(candidate)
            if version is not None and version.startswith(f"3.{minor}."):
                found[version] = candidate
                break
    if not found:
        session.error(f"no CPython found; name some in {PYTHONS_VARIABLE}")
    return found


def version_of(python: str) -> str | None:
    """Ask an interpreter for its version and kind of build; None if it does not run."""
    program = "import sys; print('%d.%d.%d' % sys.version_info[:3] + sys.abiflags)"
    try:
        # pyenv's shims exist for versions that are not switched on: they fail.
        done = subprocess.run(
            [python, "-c", program], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning fails it."""
    session.install(*group("docs"))
    session.run(
        "sphinx-build", "-W", "--keep-going", "-b", "html",
        "docs", "docs/_build/html", *session.posargs,
    )  # fmt: skip


@nox.session
def conformance(session: nox.Session) -> None:
    """
    Run the peers' own test suites against this build, half an hour of them.

    Arguments go to the harness's driver; without any the suites A, B and C are run on
    the asyncio hub. What fails is compared with tests/conformance/known_failures.py.
    """
    driver = harness(session, "conformance/run")
    session.install("maturin>=1.9.4,<2")
    wheel = build_wheel(session, interpreter(session))
    temporary = Path(session.create_tmp()).resolve()
    home, results = temporary / "venv", temporary / "conformance.json"
    shutil.rmtree(home, ignore_errors=True)
    results.unlink(missing_ok=True)
    session.run("python", driver, "make-venv", str(home), "--install", str(wheel))
    session.run(
        "python", driver, *(session.posargs or ["A", "B", "C"]),
        "--hub", "asyncio", "--require", "ours", "--json", str(results),
        # Not the session's: servers' sockets lie there, whose paths must be short, and it
        # must be open to their accounts.
        env={
            "OURS_PYTHON": str(home / "bin" / "python"),
            "TMPDIR": tempfile.gettempdir(),
        },
    )  # fmt: skip
    session.run("python", "tests/conformance/check.py", str(results))


@nox.session
def databases(session: nox.Session) -> None:
    """
    Run the tests of database drivers against real servers; arguments go to pytest.

    The servers are started from the programs of the system, on Debian those of the
    packages postgresql and mariadb-server. Tests of what is missing are skipped; among it
    is the driver mysqlclient, which is compiled with libmariadb-dev and pkg-config.
    """
    compiled = ["mysqlclient>=2.2"] if shutil.which("mariadb_config") else []
    session.install(*group("test", "databases"), *compiled)
    python = interpreter(session)
    wheel = build_wheel(session, python)
    session.install("--force-reinstall", "--no-deps", str(wheel))
    run_pytest(session, python, wheel, "tests/databases", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """
    Keep a process busy with everything at once, and watch that it does not grow.

    Ten minutes, or the seconds given as the argument.
    """
    session.install(*group("test"))
    python = interpreter(session)
    wheel = build_wheel(session, python)
    session.install("--force-reinstall", "--no-deps", str(wheel))
    session.run(
        "python", "tests/soak.py", *session.posargs,
        env={"EVENTLET_HUB": "asyncio"},
    )  # fmt: skip


@nox.session
def rewrites(session: nox.Session) -> None:
    """
    Prove safe rewrites on code bases, the folders that are the arguments.

    Those of nameko, os-ken and swift, as ``pip download --no-binary :all:`` gives
    them; ``--tests COMMAND`` also compares what their tests say before and after.
    """
    session.install(*group("test"))
    python = interpreter(session)
    wheel = build_wheel(session, python)
    session.install("--force-reinstall", "--no-deps", str(wheel))
    session.run("python", "tests/benchmarks/rewrites.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Compare with the peers in PEERS_PYTHON's environment; arguments go to the driver."""
    driver = harness(session, "bench/bench")
    session.install(".")
    session.run(
        "python", driver, *(session.posargs or ["run", "--quick"]),
        env={"OURS_PYTHON": interpreter(session)},
    )  # fmt: skip


def harness(session: nox.Session, path: str) -> str:
    """Return the driver of a harness, or say what to set."""
    driver = Path(os.environ.get(HARNESS_VARIABLE, ROOT)) / path
    if not driver.is_file():
        session.error(f"no {driver}: set {HARNESS_VARIABLE} to the folder of {path}")
    return str(driver)


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheel and the source distribution for a release into dist/."""
    session.install("maturin>=1.9.4,<2")
    session.run(
        "maturin", "build", "--release", "--locked", "--sdist",
        "--interpreter", interpreter(session), "--out", "dist", *session.posargs,
    )  # fmt: skip
