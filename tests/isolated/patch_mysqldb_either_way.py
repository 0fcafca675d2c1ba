"""A patched MySQLdb is green whether it or its green twin is imported first."""

import subprocess
import sys
import tempfile
from pathlib import Path

DRIVER = (
    "__all__ = ['connect']\nfrom MySQLdb.connections import Connection as connect\n"
)
CONNECTIONS = """
class Connection:
    def __init__(self):
        import threading
        from eventlet.patcher import original
        self.made_by = original('threading').get_ident()
"""
CHECK = """
from eventlet.patcher import original
import MySQLdb
assert MySQLdb.connect().made_by != original('threading').get_ident()
"""
ORDERS = {
    "the driver first": "import MySQLdb\nfrom eventlet.green import MySQLdb as green\n",
    "its twin first": "from eventlet.green import MySQLdb as green\nimport MySQLdb\n",
}
PATCH = "import eventlet\neventlet.monkey_patch(MySQLdb=True)\n"

with tempfile.TemporaryDirectory() as folder:
    package = Path(folder, "MySQLdb")
    package.mkdir()
    (package / "__init__.py").write_text(DRIVER)
    (package / "connections.py").write_text(CONNECTIONS)
    path = f"import sys\nsys.path.insert(0, {folder!r})\n"
    for order, imports in ORDERS.items():
        program = path + PATCH + imports + CHECK + "assert green.connect().made_by\n"
        done = subprocess.run([sys.executable, "-c", program], check=False)
        assert done.returncode == 0, order
print("pass")
