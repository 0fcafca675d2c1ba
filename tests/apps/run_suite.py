"""Run a package's own unit tests and print, as the last line, how they went, as JSON."""

from __future__ import annotations

import io
import json
import sys
import unittest
from importlib.util import find_spec
from pathlib import Path


def main(package: str) -> None:
    """Discover and run ``<package>.tests``."""
    (folder,) = find_spec(package).submodule_search_locations
    suite = unittest.defaultTestLoader.discover(
        str(Path(folder, "tests")), top_level_dir=str(Path(folder).parent)
    )
    result = unittest.TextTestRunner(stream=io.StringIO()).run(suite)
    broken = {
        case.id(): text.splitlines()[-1] if text.strip() else ""
        for case, text in result.failures + result.errors
    }
    print(json.dumps({"ran": result.testsRun, "broken": broken}))


main(sys.argv[1])
