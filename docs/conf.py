"""Configuration of Sphinx."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
_version = re.search(
    r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE
)
if _version is None:
    raise ValueError("Cargo.toml has no version")

project = "eventlet-asyncio"
author = "eventlet-asyncio contributors"
copyright = author  # noqa: A001 - Sphinx's name for it
release = version = _version[1]

# No intersphinx: a build must not depend on other sites being up.
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "changes/*"]
suppress_warnings: list[str] = []
nitpicky = True

html_theme = "furo"
html_title = f"eventlet-asyncio {release}"
