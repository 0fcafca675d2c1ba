"""Which eventlet and greenlet load: by variable, by code, and beside others."""

from __future__ import annotations

import re
import shutil
import zipapp
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SELECTED = {"EVENTLET_HUB": "asyncio"}
SWITCHED_OFF = {"EVENTLET_ASYNCIO_DISABLE": "1"}

WHO = """
def who(*names):
    import importlib
    files = [importlib.import_module(name).__file__ for name in names]
    print(*("ours" if "_overlay" in file else "upstream" for file in files))
"""
WHO_BOTH = WHO + "who('eventlet', 'greenlet')\n"
WHO_BOTH_REVERSED = WHO + "who('greenlet', 'eventlet')\n"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "upstream upstream"),
        (SELECTED, "ours ours"),
        ({"EVENTLET_HUB": "epolls"}, "upstream upstream"),
        ({"EVENTLET_HUB": ""}, "upstream upstream"),
        (SELECTED | SWITCHED_OFF, "upstream upstream"),
        (SELECTED | {"EVENTLET_ASYNCIO_DISABLE": "0"}, "ours ours"),
        (SELECTED | {"EVENTLET_ASYNCIO_DISABLE": ""}, "ours ours"),
    ],
)
def test_variable_decides_beside_an_installed_upstream(
    run_isolated, beside_upstream, variables, expected
):
    """Only EVENTLET_HUB=asyncio takes the imports from an installed upstream."""
    done = run_isolated(WHO_BOTH, variables, python=beside_upstream.python)
    assert done.stdout.split() == expected.split()
    assert done.stderr == ""


@pytest.mark.parametrize("program", [WHO_BOTH, WHO_BOTH_REVERSED])
@pytest.mark.parametrize("variables", [{}, SELECTED, {"EVENTLET_HUB": "poll"}])
def test_ours_serves_where_no_upstream_is_installed(
    run_isolated, alone, variables, program
):
    """Without an upstream every import of the two names is served."""
    done = run_isolated(program, variables, python=alone.python)
    assert done.stdout.split() == ["ours", "ours"]


def test_switched_off_is_as_if_not_installed(run_isolated, alone):
    """EVENTLET_ASYNCIO_DISABLE=1 leaves no eventlet where there is no upstream."""
    done = run_isolated(
        "import eventlet", SELECTED | SWITCHED_OFF, python=alone.python, status=1
    )
    assert "No module named 'eventlet'" in done.stderr


def test_selected_wins_over_an_upstream_on_pythonpath(run_isolated, alone, tmp_path):
    """An upstream on PYTHONPATH, ahead of site-packages, does not shadow ours."""
    for name in ("eventlet", "greenlet"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    path = {"PYTHONPATH": str(tmp_path)}
    done = run_isolated(WHO_BOTH, SELECTED | path, python=alone.python)
    assert done.stdout.split() == ["ours", "ours"]
    done = run_isolated(WHO_BOTH, path, python=alone.python)
    assert done.stdout.split() == ["upstream", "upstream"]


def test_upstream_greenlet_alone_stays_untouched(run_isolated, beside_greenlet):
    """A greenlet that another package brought is what its users still import."""
    done = run_isolated(WHO + "who('greenlet')", python=beside_greenlet.python)
    assert done.stdout.split() == ["upstream"]


def test_our_eventlet_brings_our_greenlet(run_isolated, beside_greenlet):
    """Once our eventlet is loaded, greenlet comes from us too."""
    done = run_isolated(WHO_BOTH, python=beside_greenlet.python)
    assert done.stdout.split() == ["ours", "ours"]


def test_mixture_of_implementations_is_refused(run_isolated, beside_greenlet):
    """With upstream's greenlet already loaded, our eventlet says what to do."""
    done = run_isolated(
        "import greenlet\nimport eventlet", python=beside_greenlet.python, status=1
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: cannot load eventlet of eventlet-asyncio")
    assert "greenlet from " in last
    assert "Set EVENTLET_HUB=asyncio before Python starts" in last


@pytest.mark.parametrize("name", ["eventlet", "greenlet"])
def test_nested_name_is_refused(run_isolated, alone, name):
    """The overlay's packages load under their public names only."""
    done = run_isolated(
        f"import eventlet_asyncio._overlay.{name}",
        SELECTED,
        python=alone.python,
        status=1,
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert f"Write 'import {name}'" in last


def test_modules_carry_public_names(run_isolated, alone):
    """No module of ours is known by a path through the overlay folder."""
    program = """
import sys, eventlet, greenlet
print(sorted(name for name in sys.modules if "_overlay" in name))
print(eventlet.__name__, eventlet.__spec__.name, eventlet.__package__)
"""
    done = run_isolated(program, SELECTED, python=alone.python)
    assert done.stdout.splitlines() == ["[]", "eventlet eventlet eventlet"]


def test_uninstalling_gives_the_imports_back(run_isolated, make_environment):
    """After pip uninstall the variable selects nothing and nothing is left behind."""
    environment = make_environment("eventlet", "greenlet")
    environment.pip("uninstall", "--quiet", "--yes", "eventlet-asyncio")
    done = run_isolated(WHO_BOTH, SELECTED, python=environment.python)
    assert done.stdout.split() == ["upstream", "upstream"]
    assert done.stderr == ""
    assert list(environment.site_packages.glob("eventlet_asyncio*")) == []


def test_start_up_file_without_its_package_disturbs_nobody(
    run_isolated, make_environment
):
    """Half an uninstallation shows only where eventlet-asyncio is selected."""
    environment = make_environment("eventlet", "greenlet")
    shutil.rmtree(environment.site_packages / "eventlet_asyncio")
    done = run_isolated(WHO_BOTH, python=environment.python)
    assert done.stdout.split() == ["upstream", "upstream"]
    assert done.stderr == ""
    done = run_isolated(
        "import eventlet", SELECTED, python=environment.python, status=1
    )
    assert "No module named 'eventlet_asyncio'" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_editable_installation_is_selected_alike(
    run_isolated, make_environment, tmp_path, budget
):
    """``pip install -e`` activates by the same variable, beside an upstream."""
    checkout = tmp_path / "checkout"
    shutil.copytree(
        ROOT,
        checkout,
        ignore=shutil.ignore_patterns("target", ".*", "*.so", "_build", "__pycache__"),
    )
    environment = make_environment("eventlet", "greenlet", install=False)
    environment.pip(
        "install", "--quiet", "--no-deps", "--editable", str(checkout),
        "--config-settings", "build-args=--profile=dev",
    )  # fmt: skip
    # Compiling the crate may have taken more than a test's time.
    budget.restart()
    program = WHO_BOTH + "print(eventlet_asyncio.__file__)"
    done = run_isolated(
        "import eventlet_asyncio\n" + program, SELECTED, python=environment.python
    )
    who, file = done.stdout.splitlines()
    assert who == "ours ours"
    assert Path(file).is_relative_to(checkout)


class TestActivate:
    """eventlet_asyncio.activate(), the way in from code."""

    def test_takes_the_imports_from_an_installed_upstream(
        self, run_isolated, beside_upstream
    ):
        """Called first, it does what the variable does, for children too."""
        program = (
            "import os, eventlet_asyncio\n"
            "print(eventlet_asyncio.activate(), os.environ['EVENTLET_HUB'])\n"
        )
        done = run_isolated(program + WHO_BOTH, python=beside_upstream.python)
        assert done.stdout.split() == ["True", "asyncio", "ours", "ours"]

    def test_is_idempotent(self, run_isolated, beside_upstream):
        """Called again, also once eventlet is loaded, it changes nothing."""
        program = """
import sys, eventlet_asyncio
eventlet_asyncio.activate()
before = list(sys.meta_path)
eventlet_asyncio.activate()
assert sys.meta_path == before
import eventlet
before = list(sys.meta_path)
print(eventlet_asyncio.activate(), sys.meta_path == before)
"""
        done = run_isolated(program, python=beside_upstream.python)
        assert done.stdout.split() == ["True", "True"]

    @pytest.mark.parametrize("name", ["eventlet", "greenlet"])
    def test_refuses_when_another_is_loaded(self, run_isolated, beside_upstream, name):
        """Too late, it names what is loaded and the fix, and replaces nothing."""
        program = f"""
import sys, {name}, eventlet_asyncio
before = {name}
try:
    eventlet_asyncio.activate()
except ImportError as error:
    print(error)
assert sys.modules[{name!r}] is before
"""
        done = run_isolated(program, python=beside_upstream.python)
        assert "comes too late" in done.stdout
        assert f"{name} from {beside_upstream.site_packages}" in done.stdout
        assert "EVENTLET_HUB=asyncio" in done.stdout

    def test_respects_the_switch(self, run_isolated, beside_upstream):
        """With EVENTLET_ASYNCIO_DISABLE=1 it says no and upstream loads."""
        program = "import eventlet_asyncio\nprint(eventlet_asyncio.activate())\n"
        done = run_isolated(
            program + WHO_BOTH, SWITCHED_OFF, python=beside_upstream.python
        )
        assert done.stdout.split() == ["False", "upstream", "upstream"]

    def test_keeps_a_hub_that_was_chosen(self, run_isolated, alone):
        """A hub named in the environment stays the one in use."""
        program = (
            "import os, eventlet_asyncio\n"
            "eventlet_asyncio.activate()\n"
            "print(os.environ['EVENTLET_HUB'])\n"
        )
        done = run_isolated(program, {"EVENTLET_HUB": "poll"}, python=alone.python)
        assert done.stdout.split() == ["poll"]

    def test_works_without_site(self, run_isolated, beside_upstream):
        """Under ``python -S`` no start-up file is read, and code activates."""
        program = f"""
import sys
sys.path.append({str(beside_upstream.site_packages)!r})
import eventlet_asyncio
print(eventlet_asyncio.is_active())
eventlet_asyncio.activate()
print(eventlet_asyncio.is_active())
"""
        done = run_isolated(
            program + WHO_BOTH, SELECTED, python=beside_upstream.python, options=("-S",)
        )
        assert done.stdout.split() == ["False", "True", "ours", "ours"]

    def test_works_in_a_zip_application(self, run_isolated, beside_upstream, tmp_path):
        """A zip application that brings its own path can activate too."""
        source = tmp_path / "application"
        source.mkdir()
        (source / "__main__.py").write_text(
            "import sys\n"
            f"sys.path.append({str(beside_upstream.site_packages)!r})\n"
            "import eventlet_asyncio\n"
            "eventlet_asyncio.activate()\n" + WHO_BOTH
        )
        archive = tmp_path / "application.pyz"
        zipapp.create_archive(source, archive)
        done = run_isolated(archive, python=beside_upstream.python, options=("-S",))
        assert done.stdout.split() == ["ours", "ours"]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [({}, "False"), (SELECTED, "True"), (SELECTED | SWITCHED_OFF, "False")],
)
def test_is_active_tells_before_anything_is_imported(
    run_isolated, beside_upstream, variables, expected
):
    """is_active() answers for what an import would give, and imports nothing."""
    program = """
import sys, eventlet_asyncio
print(eventlet_asyncio.is_active(), "eventlet" in sys.modules)
"""
    done = run_isolated(program, variables, python=beside_upstream.python)
    assert done.stdout.split() == [expected, "False"]


def test_version_is_that_of_the_crate(run_isolated, alone):
    """The package's version is the one in Cargo.toml."""
    manifest = (ROOT / "Cargo.toml").read_text()
    version = re.search(r'^version = "(.+)"$', manifest, re.MULTILINE)
    program = "import eventlet_asyncio\nprint(eventlet_asyncio.__version__)"
    done = run_isolated(program, python=alone.python)
    assert version is not None
    assert done.stdout.split() == [version[1]]


def test_public_names_lead_to_eventlet_asyncio(run_isolated, alone):
    """What the package re-exports is the very object in eventlet.asyncio."""
    program = """
import eventlet_asyncio, eventlet.asyncio
own = {"__version__", "activate", "is_active"}
for name in set(eventlet_asyncio.__all__) - own:
    assert getattr(eventlet_asyncio, name) is getattr(eventlet.asyncio, name), name
assert set(eventlet_asyncio.__all__) <= set(dir(eventlet_asyncio))
"""
    run_isolated(program, SELECTED, python=alone.python)


def test_public_name_beside_upstream_names_the_fix(run_isolated, beside_upstream):
    """A re-exported name asked for while upstream serves says how to select ours."""
    done = run_isolated(
        "from eventlet_asyncio import spawn_for_awaitable",
        python=beside_upstream.python,
        status=1,
    )
    assert "set EVENTLET_HUB=asyncio before Python starts" in done.stderr
