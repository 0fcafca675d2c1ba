"""What programs raise, and how what they saw is written down."""

from __future__ import annotations

import re


class Boom(Exception):
    """An error of the program's own."""


class BaseBoom(BaseException):
    """One that `except Exception` lets through."""


class Stop(BaseException):
    """The time of main is up."""


class Ret(Exception):
    """Ends a body with a value."""


#: Statements with statements in them.
COMPOUND = frozenset(
    "timeout with_timeout try with ritem twith lock group gen sem cond".split()
)
#: Texts of exceptions that programs themselves raise; others are each implementation's.
OWN = frozenset(
    "x kill sent raised tmo thrown triple link timer after tpool a b c d".split()
) | {"I/O operation on closed file.", *(f"job{number}" for number in range(9))}

_ADDRESS = re.compile(r"0x[0-9a-f]+")


def clean(text: object) -> str:
    """Return a text without addresses."""
    return _ADDRESS.sub("0x", str(text))
