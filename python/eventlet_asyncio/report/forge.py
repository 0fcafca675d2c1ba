"""
Where the lines of a checkout are shown on a forge.

Read from git's own files, without running git: what a page links to must not
depend on what is installed, and a scan starts no other program.
"""

from __future__ import annotations

import configparser
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from pathlib import Path

_REMOTE = re.compile(
    r"(?:https?://(?:[^/@]*@)?|ssh://[^/@]+@|[^/@:]+@)"
    r"(?P<host>[\w.-]+)(?::\d+)?[/:](?P<path>[\w./~-]+?)(?:\.git)?/?$"
)


def base_of(folder: Path) -> str:
    """
    Return the address that a path of a folder is put behind, or an empty text.

    For a checkout whose ``origin`` is on a host named after GitHub or GitLab, the
    commit that is checked out there; a line is then ``#L12``.
    """
    for top in (folder, *folder.parents):
        git = top / ".git"
        if git.is_dir():
            try:
                return _base(git, folder.relative_to(top).as_posix())
            except (OSError, ValueError, configparser.Error):
                return ""
    return ""


def _base(git: Path, inner: str) -> str:
    config = configparser.ConfigParser(strict=False, interpolation=None)
    config.read_string((git / "config").read_text(encoding="utf-8"))
    remote = config.get('remote "origin"', "url", fallback="")
    found = _REMOTE.match(remote)
    commit = _commit(git)
    if found is None or commit is None:
        return ""
    host, path = found["host"], found["path"]
    if "gitlab" in host:
        shown = f"https://{host}/{path}/-/blob/{commit}/"
    elif "github" in host:
        shown = f"https://{host}/{path}/blob/{commit}/"
    else:
        return ""
    return shown if inner == "." else f"{shown}{quote(inner)}/"


def _commit(git: Path) -> str | None:
    head = (git / "HEAD").read_text(encoding="utf-8").strip()
    if not head.startswith("ref: "):
        return head if re.fullmatch(r"[0-9a-f]{40,64}", head) else None
    name = head.removeprefix("ref: ")
    # A branch's name may not lead out of the folder.
    if ".." in name:
        return None
    loose = git / name
    if loose.is_file():
        return loose.read_text(encoding="utf-8").strip()
    packed = git / "packed-refs"
    if packed.is_file():
        for line in packed.read_text(encoding="utf-8").splitlines():
            if line.endswith(f" {name}"):
                return line.split(maxsplit=1)[0]
    return None
