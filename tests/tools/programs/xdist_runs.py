"""pytest-xdist spreads tests of a patched program over workers; each runs once."""
# needs: pytest-xdist

import collections
import os
import pathlib
import subprocess
import sys

pathlib.Path("conftest.py").write_text("import eventlet\neventlet.monkey_patch()\n")
pathlib.Path("test_some.py").write_text("""\
import os, socket, threading
import eventlet, pytest

@pytest.mark.parametrize("number", range(60))
def test_green(number):
    one, two = socket.socketpair()
    thread = threading.Thread(target=one.sendall, args=(b"x" * 100_000,))
    thread.start()
    got = 0
    while got < 100_000:
        got += len(two.recv(65536))
    thread.join()
    with open("ran", "a") as file:
        file.write(f"{number} {os.getpid()}\\n")
    assert number != 13
""")
done = subprocess.run(
    [sys.executable, "-m", "pytest", "-q", "-p", "xdist", "-n", "2", "."],
    env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    capture_output=True,
    text=True,
    timeout=120,
)
assert done.returncode == 1, done.stdout + done.stderr
assert "1 failed, 59 passed" in done.stdout, done.stdout
ran = [line.split() for line in pathlib.Path("ran").read_text().splitlines()]
assert collections.Counter(int(n) for n, _ in ran) == dict.fromkeys(range(60), 1), ran
assert len({pid for _, pid in ran}) == 2, ran
print("pass")
