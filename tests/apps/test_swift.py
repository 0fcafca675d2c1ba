"""
OpenStack Swift, by the unit tests of its servers that use Eventlet most.

``APPS_SWIFT`` names the folder of Swift's source distribution, with what it imports in
``site``. Its tests want extended attributes of 64 KiB, which ext4 has no room for: they
are run in a temporary folder in memory, on which Linux 6.6 and later keep them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from tests.apps.servers import HUB

SWIFT = os.environ.get("APPS_SWIFT")
MEMORY = "/dev/shm"

_RESOLVES = "needs a name server"
_HASTE = "a matter of ten milliseconds, which a busy machine has not"

# How many tests there are at least, and which of them may fail.
SUITES = {
    "test/unit/proxy/test_server.py": (
        383,
        {
            "proxy.test_server.TestProxyServer::test_private_method_request": (
                "gets 404 where it expects 503, on every hub"
            ),
        },
    ),
    "test/unit/common": (
        5000,
        {
            **{
                "common.middleware.test_proxy_logging.TestProxyLogging"
                f"::test_init_logger_and_legacy_statsd_options_{name}": _RESOLVES
                for name in ("access_log_prefix", "log_prefix")
            },
            **{
                f"common.test_utils.TestCooperativeCachePopulator::test_{name}": _HASTE
                for name in (
                    "fetch_data_cache_miss_without_token",
                    "fetch_data_from_cache_connection_error",
                )
            },
        },
    ),
    "test/unit/obj": (
        1500,
        {
            "obj.test_ssync_receiver.TestSsyncInputProxy::test_read_line_timeout": _HASTE,
        },
    ),
}

pytestmark = pytest.mark.skipif(not SWIFT, reason="APPS_SWIFT names no folder")


def has_room():
    """Say whether large extended attributes can be written in memory."""
    try:
        with tempfile.NamedTemporaryFile(dir=MEMORY) as file:
            os.setxattr(file.name, "user.room", b"a" * (60 << 10))
    except OSError:
        return False
    return True


def outcomes(report):
    """Read how many tests ran, and which failed, from a report in JUnit's format."""
    cases = list(ET.parse(report).iter("testcase"))
    broken = {
        f"{case.get('classname')}::{case.get('name')}".removeprefix("test.unit.")
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    }
    return len(cases), broken


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("suite", SUITES)
def test_swift_passes_its_own_tests(suite, tmp_path):
    """Everything that passes on upstream's default hub passes."""
    if not has_room():
        pytest.skip(f"{MEMORY} has no room for large extended attributes")
    report = tmp_path / "report.xml"
    with (
        tempfile.TemporaryDirectory(dir=MEMORY) as folder,
        (tmp_path / "out").open("w+") as out,
    ):
        running = subprocess.Popen(
            [
                sys.executable, "-m", "pytest", "-q", "-p", "pytest_timeout",
                "-p", "no:cacheprovider", "-o", "addopts=", "--timeout=60",
                f"--junitxml={report}", suite,
            ],
            env={
                **os.environ, "TMPDIR": folder, "EVENTLET_HUB": HUB,
                "PYTHONPATH": str(Path(SWIFT, "site")),
            },
            cwd=SWIFT, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
        try:
            running.wait(timeout=2300)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
        out.seek(0)
        assert report.exists(), out.read()[-4000:]
    ran, broken = outcomes(report)
    least, known = SUITES[suite]
    assert ran >= least
    assert broken - known.keys() == set()
