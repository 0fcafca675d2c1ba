"""The mirrored structures against CPython's own headers, by a C compiler."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from eventlet_asyncio import _core

# Parts of the thread state that only CPython's own modules are meant to see.
PRIVATE = "_PyThreadStateImpl"
PROGRAM = """
{private}
#include <Python.h>
{internal}
#include <stddef.h>
#include <stdio.h>

int main(void)
{{
{lines}
    return 0;
}}
"""
LINE = '    printf("%zu {type}.{field}\\n", offsetof({type}, {field}));'


def compiler() -> list[str]:
    """Return the command that compiles C, or skip the test."""
    for name in (sysconfig.get_config_var("CC"), "cc", "gcc", "clang"):
        command = shlex.split(name or "")
        if command and shutil.which(command[0]):
            return command
    pytest.skip("no C compiler")


def include_options() -> list[str]:
    """Return where this interpreter's headers are, or skip the test."""
    for name in ("include", "platinclude"):
        folder = Path(sysconfig.get_path(name))
        if (folder / "Python.h").exists():
            # Debian puts pyconfig.h beside the folder, under the system's headers.
            return ["-I", str(folder), "-idirafter", str(folder.parent)]
    pytest.skip("this interpreter came without headers")


def offsets_in_headers(names: list[str], folder: Path) -> dict[str, int]:
    """Compile a program that prints the offsets of these fields, and run it."""
    lines = []
    for name in names:
        structure, field = name.rsplit(".", 1)
        lines.append(LINE.format(type=structure, field=field))
    private = any(name.startswith(PRIVATE) for name in names)
    source = folder / "offsets.c"
    source.write_text(
        PROGRAM.format(
            private="#define Py_BUILD_CORE_MODULE 1" if private else "",
            internal='#include "internal/pycore_tstate.h"' if private else "",
            lines="\n".join(lines),
        ),
        encoding="utf-8",
    )
    program = folder / "offsets"
    options = [*include_options(), str(source), "-o", str(program)]
    subprocess.run([*compiler(), *options], check=True, timeout=50)
    printed = subprocess.run(
        [str(program)], check=True, timeout=10, capture_output=True, text=True
    ).stdout
    pairs = (line.split(" ", 1) for line in printed.splitlines())
    return {name: int(offset) for offset, name in pairs}


def test_layout_agrees_with_the_headers_of_this_interpreter(tmp_path: Path) -> None:
    """Each field of CPython that is used lies where CPython's compiler puts it."""
    ours = dict(_core._layout())
    assert offsets_in_headers(list(ours), tmp_path) == ours


def test_layout_covers_what_a_switch_saves() -> None:
    """The fields that differ between stacks on every version are in the list."""
    names = set(dict(_core._layout()))
    fields = {"exc_info", "context", "context_ver", "thread_id", "id"}
    if sys.version_info >= (3, 11):
        fields |= {"datastack_chunk", "datastack_top", "datastack_limit"}
    assert {f"PyThreadState.{field}" for field in fields} <= names
    if sys.version_info >= (3, 14):
        private = {"c_stack_top", "c_stack_soft_limit", "c_stack_hard_limit"}
        private |= {"asyncio_running_loop", "asyncio_running_task"}
        assert {f"{PRIVATE}.{field}" for field in private} <= names
