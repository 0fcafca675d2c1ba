"""
Forms in which a result of ``scan`` is handed on: SARIF, annotations, a page.

Each takes the result as ``scan --format json`` prints it, as a dictionary, and
returns text. Nothing is read but what is given, and nothing is imported that a
scan has not got: the standard library is enough.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventlet_asyncio._activate import coded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORMATS = ("sarif", "github", "html")
#: The version of the JSON that these forms are made from.
SCHEMA = 1


class ResultError(ValueError):
    """A file is no result of a scan, or of a version that is not known here."""


def render(
    name: str,
    result: Mapping[str, Any],
    *,
    older: Sequence[str] = (),
    plan: Mapping[str, Any] | None = None,
) -> str:
    """
    Return a result in one of the forms.

    Args:
        name: One of `FORMATS`.
        result: Of ``scan``, of the working directory.
        older: For ``html``: files with earlier results, as JSON. A file's time of
            change is the time of its result.
        plan: For ``html``: the plan's graph, as `html.text` takes it.

    Raises:
        ResultError: If an older result is none.
        OSError: If it cannot be read.
    """
    if name == "sarif":
        from eventlet_asyncio.report import sarif

        return sarif.text(result)
    if name == "github":
        from eventlet_asyncio.report import github

        return github.text(result)
    from eventlet_asyncio.report import forge, html

    earlier = [(Path(path).stat().st_mtime, load(path)) for path in older]
    base = forge.base_of(Path.cwd())
    return html.text(result, older=earlier, plan=plan, base=base)


def load(path: str) -> dict[str, Any]:
    """
    Read a result that ``scan --format json`` has printed.

    Raises:
        ResultError: If it is none, or of another version.
        OSError: If it cannot be read.
    """
    try:
        result = json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise ResultError(
            coded("EA411", f"{path} is no result of scan: {error}")
        ) from None
    if not isinstance(result, dict) or not isinstance(result.get("findings"), list):
        raise ResultError(coded("EA411", f"{path} is no result of scan"))
    if result.get("schema") != SCHEMA:
        raise ResultError(
            coded("EA412", f"{path} has schema {result.get('schema')!r}, not {SCHEMA}")
        )
    return result
