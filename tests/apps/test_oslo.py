"""OpenStack's libraries, by the unit tests that their wheels hold."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.apps.servers import HUB

# How many tests there are at least, and which of them fail on upstream as well.
SUITES = {
    "oslo_concurrency": (100, {}),
    "oslo_log": (
        150,
        {
            "oslo_log.tests.unit.test_log.LogConfigTestCase."
            "test_log_config_append_unreadable": "root may read everything",
        },
    ),
    # Its functional tests need VIRTUAL_ENV, and find their helper there.
    "oslo_privsep": (
        40,
        {
            f"oslo_privsep.tests.functional.test_daemon.TestDaemon.{test}": (
                "needs an environment variable"
            )
            for test in (
                *("test_concurrency", "test_context_with_timeout"),
                *("test_context_with_timeout_pass", "test_entrypoint_with_timeout"),
                *("test_entrypoint_with_timeout_pass", "test_logging"),
            )
        },
    ),
    "oslo_service": (
        200,
        {
            "oslo_service.tests.backend.threading.test_launcher.LauncherTestCase."
            "test_explicit_spawn_rejects_unpicklable_conf": "CPython's message differs",
        },
    ),
    "oslo_messaging": (
        1900,
        {
            "unittest.loader._FailedTest.oslo_messaging.tests.drivers.test_impl_kafka": (
                "needs a Kafka client"
            ),
            "unittest.loader._FailedTest."
            "oslo_messaging.tests.functional.test_rabbitmq": "needs pifpaf",
            "oslo_messaging.tests.notify.test_notifier.TestMessagingNotifierRetry."
            "test_notifier_retry_connection_fails_kafka": "needs a Kafka client",
        },
    ),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("package", SUITES)
def test_oslo_passes_its_own_tests(package, tmp_path):
    """Everything that passes on upstream's default hub passes."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    # Their own variables for running under monkey_patch.
    patched = {"TEST_EVENTLET": "1", "OSLO_LOG_TEST_EVENTLET": "1"}
    runner = Path(__file__).with_name("run_suite.py")
    with (tmp_path / "err").open("w+") as err:
        running = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(runner), package],
            env={**os.environ, **patched, "EVENTLET_HUB": HUB},
            cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err,
            text=True, start_new_session=True,
        )  # fmt: skip
        try:
            out, _ = running.communicate(timeout=280)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.communicate()
            pytest.fail("no end")
        err.seek(0)
        assert running.returncode == 0, err.read()[-4000:]
    done = json.loads(out.splitlines()[-1])
    least, known = SUITES[package]
    assert done["ran"] >= least
    assert done["broken"].keys() - known.keys() == set(), done["broken"]
