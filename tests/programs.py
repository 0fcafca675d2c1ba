"""What programs that tests run in a process of their own say to their runner."""

from __future__ import annotations

import importlib.metadata
import re

import pytest


def said(name: str, text: str) -> list[str]:
    """Return the words of the lines that speak to the runner under a name."""
    return " ".join(re.findall(rf"^# {name}: (.*)$", text, re.MULTILINE)).split()


def skip_unless_installed(text: str) -> None:
    """Skip the test where a distribution is missing that the program says it needs."""
    for name in said("needs", text):
        try:
            importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{name} is not installed")
