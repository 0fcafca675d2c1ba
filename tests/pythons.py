"""
Find one interpreter for each CPython that is supported, or install what is missing.

Looks for ``python3.N`` in pyenv, on PATH and in the cache of an earlier
``--provision``, and prints a line with version and path for each minor version.
Free-threaded builds and other implementations do not count. The exit status is 1
if a version is missing.

``--provision`` installs the missing ones from Debian's development branch into a
folder of its own, without touching the system: for each a script of the name
``run-python3.N`` starts the interpreter with that Debian's own C library, so it
does not matter how old the system around it is. The script is the interpreter in
every respect: ``-m venv``, virtualenv, ``maturin build --interpreter`` and a
``sys.executable`` that can be run again all work with it. Wheels that were built on
the older system load there. It takes root and the program ``debootstrap`` (a Debian
package), Linux on the same architecture, and some 400 MB.

The tests on all versions, from the project's root::

    EVENTLET_ASYNCIO_PYTHONS=$(python tests/pythons.py --provision --join) nox -s pythons
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

MINORS = tuple(f"3.{minor}" for minor in range(10, 16))
MIRROR = "http://deb.debian.org/debian"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
DEFAULT_CACHE = CACHE / "eventlet-asyncio" / "pythons"

# Says "3.N" for an interpreter that is supported, nothing for another one.
PROBE = """
import sys, sysconfig
if sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED"):
    print("%d.%d" % sys.version_info[:2])
"""

WRAPPER = """\
#!/bin/sh
# Started through its own loader, the interpreter never sees the system's C library.
# It takes its place in the file system from argv[0], so that is this script.
root='{root}'
exec "$root/{loader}" --argv0 "$0" --library-path "{libraries}" \\
    "$root/usr/bin/python{minor}" "$@"
"""


def runs_as(path: str | Path, minor: str) -> bool:
    """Say whether the path starts a suitable interpreter of this version."""
    try:
        # pyenv's shims exist for versions that are not switched on: they fail.
        done = subprocess.run(
            [str(path), "-c", PROBE],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return False
    return done.stdout.strip() == minor


def patch_level(path: Path) -> tuple[int, ...]:
    """Return the numbers of the version in a path of pyenv, for sorting."""
    return tuple(int(number) for number in re.findall(r"\d+", path.parents[1].name))


def find(minor: str, cache: Path) -> str | None:
    """Return the first suitable interpreter: pyenv's newest, PATH, the cache."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = list(pyenv.glob(f"versions/{minor}.*/bin/python{minor}"))
    candidates.sort(key=patch_level, reverse=True)
    on_path = shutil.which(f"python{minor}")
    if on_path:
        candidates.append(Path(on_path))
    candidates.append(wrapper_of(minor, cache))
    return next((str(path) for path in candidates if runs_as(path, minor)), None)


def root_of(minor: str, cache: Path) -> Path:
    """Return where Debian's tree for this version is, or is to be."""
    return cache / f"debian-{minor}"


def wrapper_of(minor: str, cache: Path) -> Path:
    """Return where the script is that starts this version, or is to be."""
    return root_of(minor, cache) / "usr" / "bin" / f"run-python{minor}"


def provision(minor: str, cache: Path, mirror: str) -> None:
    """
    Install one version from Debian's development branch.

    Raises:
        SystemExit: If it cannot be done here, or Debian has no such version.
    """
    debootstrap = shutil.which("debootstrap")
    if debootstrap is None:
        sys.exit("pythons.py: --provision needs debootstrap (apt install debootstrap)")
    if os.geteuid() != 0:
        sys.exit("pythons.py: --provision must run as root, as debootstrap does")
    root = root_of(minor, cache)
    # What an interrupted run left behind would not be completed.
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    packages = f"python{minor}-dev,python{minor}-venv"
    done = subprocess.run(
        [debootstrap, "--variant=minbase", f"--include={packages}", "sid", root, mirror],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-5:])
        sys.exit(f"pythons.py: debootstrap could not install {packages}:\n{tail}")
    make_relocatable(root, minor)
    write_wrapper(root, minor, cache)
    if not runs_as(wrapper_of(minor, cache), minor):
        sys.exit(f"pythons.py: {wrapper_of(minor, cache)} does not start")


def make_relocatable(root: Path, minor: str) -> None:
    """Point ensurepip at the wheels in the tree: Debian names them absolutely."""
    for data in (root / "usr" / "lib" / f"python{minor}").glob("_sysconfigdata_*.py"):
        if data.is_symlink():
            continue
        wheels = str(root / "usr" / "share" / "python-wheels")
        text = data.read_text(encoding="utf-8")
        data.write_text(
            text.replace("'/usr/share/python-wheels/'", repr(wheels)), encoding="utf-8"
        )


def write_wrapper(root: Path, minor: str, cache: Path) -> None:
    """Write the script that starts the interpreter with its own libraries."""
    loader = next((root / "usr").glob("lib*/ld-linux-*.so.*"), None)
    if loader is None:
        sys.exit(f"pythons.py: no loader in {root}: not a Linux with glibc?")
    libraries = ":".join(map(str, (root / "usr" / "lib").glob("*-linux-gnu*")))
    wrapper = wrapper_of(minor, cache)
    wrapper.write_text(
        WRAPPER.format(
            root=root,
            loader=loader.relative_to(root),
            libraries=libraries,
            minor=minor,
        ),
        encoding="utf-8",
    )
    wrapper.chmod(0o755)


def main() -> int:
    """Print what was found; return 1 if a version is missing."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "versions", nargs="*", metavar="3.N", help="only these (default: all supported)"
    )
    parser.add_argument(
        "--provision", action="store_true", help="install the versions not found"
    )
    parser.add_argument(
        "--join", action="store_true", help="print the paths alone, joined as in PATH"
    )
    parser.add_argument(
        "--cache", type=Path, default=DEFAULT_CACHE, help="folder for --provision"
    )
    parser.add_argument("--mirror", default=MIRROR, help="Debian mirror to take")
    options = parser.parse_args()
    unknown = set(options.versions) - set(MINORS)
    if unknown:
        parser.error(f"not supported: {', '.join(sorted(unknown))}")
    cache = options.cache.resolve()

    found: dict[str, str] = {}
    missing: list[str] = []
    for minor in options.versions or MINORS:
        path = find(minor, cache)
        if path is None and options.provision:
            print(f"installing CPython {minor} into {cache}", file=sys.stderr)
            provision(minor, cache, options.mirror)
            path = find(minor, cache)
        if path is None:
            missing.append(minor)
        else:
            found[minor] = path
    if options.join:
        print(os.pathsep.join(found.values()))
    else:
        for minor, path in found.items():
            print(minor, path)
    if missing:
        print(
            f"pythons.py: no interpreter for {', '.join(missing)}"
            " (--provision installs them)",
            file=sys.stderr,
        )
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
