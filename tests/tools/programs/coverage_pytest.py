"""pytest-cov counts exactly the lines that ran, in processes of pytest-xdist too."""
# needs: coverage pytest pytest-cov

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

MEASURED = Path(__file__).parents[1] / "measured"
shutil.copy(MEASURED / "green.py", "green.py")
Path("test_green.py").write_text(
    "import importlib\n"
    "def test_first():\n    import green\n    assert green.main()\n"
    "def test_second():\n    import green\n    assert green.main()\n"
)
Path(".coveragerc").write_text(
    "[run]\nconcurrency = thread,eventlet\ninclude = green.py\ncore = ctrace\n"
)
never = {
    number
    for number, line in enumerate(Path("green.py").read_text().splitlines(), 1)
    if line.endswith("# never")
}
plugins = ["-p", "pytest_cov"]
runs = [[]]
if importlib.util.find_spec("xdist"):
    runs.append(["-p", "xdist", "-n", "2"])
env = dict(os.environ, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
for options in runs:
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *(*plugins, *options, "--cov", "--cov-report=json:out.json"),
        ],
        check=True,
        env=env,
    )
    found = json.loads(Path("out.json").read_text())["files"]["green.py"]
    missing = set(found["missing_lines"])
    assert missing == never, (options, sorted(missing ^ never))
print("pass")
