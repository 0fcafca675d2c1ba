"""
Fresh environments, with this distribution and with a stand-in for upstream.

The stand-in offers ``eventlet`` and ``greenlet`` in site-packages, with
metadata, as an installed upstream does; nothing is downloaded.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STANDIN = {
    "eventlet": "import greenlet\nwho = 'upstream'\n",
    "greenlet": "who = 'upstream'\n",
}


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    home: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.home / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        """The folder that installed packages are in."""
        (folder,) = self.home.glob("lib/python3.*/site-packages")
        return folder

    def pip(self, *arguments: str) -> None:
        """Run pip for this environment, which has none of its own."""
        command = [sys.executable, "-m", "pip", "--python", str(self.python)]
        done = subprocess.run(
            [*command, *arguments],
            # What cargo has built in the checkout serves copies of it too.
            env={"CARGO_TARGET_DIR": str(ROOT / "target")} | os.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.fail(
                f"pip {' '.join(arguments)}\n{done.stdout}\n{done.stderr}",
                pytrace=False,
            )

    def install_wheel(self, wheel: Path) -> None:
        """Install this distribution, without what it would depend on."""
        self.pip("install", "--quiet", "--no-deps", "--no-index", str(wheel))


def write_standin(folder: Path, *names: str) -> None:
    """Put the stand-in's packages into a folder, as if installed."""
    for name in names:
        package = folder / name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(STANDIN[name])
        metadata = folder / f"{name}-0.0.1.dist-info"
        metadata.mkdir()
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.0.1\n"
        (metadata / "METADATA").write_text(text)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """Take the wheel that the session has built, or build one."""
    given = os.environ.get("EVENTLET_ASYNCIO_WHEEL")
    if given:
        return Path(given)
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "maturin", "build", "--profile", "dev"]
    command += ["--interpreter", sys.executable, "--out", str(out)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.fail(f"the wheel does not build\n{done.stderr}", pytrace=False)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def make_environment(tmp_path_factory, wheel):
    """Make environments with this distribution and parts of the stand-in."""

    def make(*standin: str, install: bool = True) -> Environment:
        environment = Environment(tmp_path_factory.mktemp("environment"))
        venv.create(environment.home, symlinks=True)
        write_standin(environment.site_packages, *standin)
        if install:
            environment.install_wheel(wheel)
        return environment

    return make


@pytest.fixture(scope="session")
def alone(make_environment) -> Environment:
    """Give an environment without an upstream."""
    return make_environment()


@pytest.fixture(scope="session")
def beside_upstream(make_environment) -> Environment:
    """Give an environment where upstream's two packages are installed as well."""
    return make_environment("eventlet", "greenlet")


@pytest.fixture(scope="session")
def beside_greenlet(make_environment) -> Environment:
    """Give an environment with upstream's greenlet, which others depend on too."""
    return make_environment("greenlet")
