"""
Compare a result file of the conformance harness with the list of known failures.

    python check.py RESULTS.json

Leaves with status 1, and a line for each, if a test fails that is not listed, or one that
is listed passes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from known_failures import ELSEWHERE, KNOWN

PASSED = ("pass", "xfail", "skip")


def differences(results: dict[str, dict[str, dict[str, str]]]) -> list[str]:
    """
    List what differs from the known failures, for the files that were run.

    Args:
        results: Suite: file: test: outcome.
    """
    found = []
    for suite, files in results.items():
        for file, outcomes in files.items():
            known = KNOWN.get(suite, {}).get(file, {})
            elsewhere = ELSEWHERE.get(suite, {}).get(file, {})
            for test, outcome in outcomes.items():
                name = f"{suite} {file}::{test}"
                if outcome not in PASSED:
                    if test not in known and test not in elsewhere:
                        found.append(f"{name}: {outcome}, and is not a known failure")
                elif test in known:
                    found.append(f"{name}: {outcome}, and is listed as a failure")
            found += [
                f"{suite} {file}::{test}: is listed as a failure, and does not exist"
                for test in known
                if test not in outcomes
            ]
    return found


def main() -> int:
    """Read the file named on the command line and report."""
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    data = json.loads(Path(sys.argv[1]).read_text())
    suites = {name: suite["outcomes"] for name, suite in data["suites"].items()}
    if not any(outcomes for files in suites.values() for outcomes in files.values()):
        print("no test was run: what was asked for selects none")
        return 1
    found = differences(suites)
    print("\n".join(found) or "as expected")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
