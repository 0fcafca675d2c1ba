"""A scan with a cache finds what one without finds, whatever was changed in between."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from eventlet_asyncio import _core

from .test_scan import write_tree

HERE = Path(__file__).parent
FORMS = (HERE / "forms.txt").read_text()

# What is put into files: uses, bindings that others see, and what changes neither.
LINES = (
    "# one more line",
    "import eventlet",
    "from eventlet import sleep as pause",
    "from app.facade import *",
    "import time; time.sleep(0)",
    "def extra(f): return eventlet.spawn(f)",
    "class Extra(eventlet.Timeout): pass",
    "pool = eventlet.GreenPool()",
    "extra = lambda: eventlet.sleep(1)",
    "eventlet = None",
    "sleep = spawn = Timeout = object",
    "__all__ = ['sleep']",
    "x = 'ä' + (",
)


def scan(folder, cache=None):
    """Scan in this process; return the document without its duration."""
    request = {
        "command": "scan",
        "format": "json",
        "paths": ["."],
        "folder": str(folder),
        "cache": cache and str(cache),
    }
    answer = json.loads(_core._scan(json.dumps(request)))
    assert answer["exit"] in {0, 1}, answer["err"]
    document = json.loads(answer["out"])
    document["summary"].pop("seconds")
    return document


def change(folder, chance):
    """Change one file as people and tools do."""
    files = sorted(folder.rglob("*.py"))
    file = chance.choice(files)
    lines = file.read_text().splitlines()
    at = chance.randrange(len(lines) + 1)
    match chance.randrange(8):
        case 0:
            lines.append(chance.choice(LINES))
        case 1 | 2:
            lines.insert(at, chance.choice(LINES))
        case 3:
            del lines[at : at + chance.randrange(1, 4)]
        case 4:
            other = chance.choice(files).read_text().splitlines()
            start = chance.randrange(len(other) + 1)
            lines[at:at] = other[start : start + 5]
        case 5:
            chance.choice(files).write_text("\n".join(lines) + "\n")
            return
        case 6:
            file.rename(file.with_name(f"moved_{chance.randrange(99)}.py"))
            return
        case 7:
            file.with_name(f"copy_{chance.randrange(99)}.py").write_text(
                file.read_text()
            )
            return
    file.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("seed", range(6))
def test_cache_changes_nothing_whatever_is_edited(tmp_path, seed):
    """After each of many edits, a scan with the cache equals one without."""
    chance = random.Random(seed)
    folder, cache = tmp_path / "tree", tmp_path / "cache" / "scan.bin"
    write_tree(FORMS, folder)
    assert scan(folder, cache) == scan(folder)
    for step in range(25):
        for _ in range(chance.choice((1, 1, 1, 3))):
            change(folder, chance)
        assert scan(folder, cache) == scan(folder), f"step {step}"


def test_file_that_looks_as_before_is_not_read_again(tmp_path):
    """Files that are old enough are known by their looks; one that changes is seen."""
    folder, cache = tmp_path / "tree", tmp_path / "scan.bin"
    write_tree(FORMS, folder)
    # Younger files may change again within one tick of the file system's clock.
    time.sleep(3.1)
    first = scan(folder, cache)
    size = cache.stat().st_mtime_ns
    assert scan(folder, cache) == first
    assert cache.stat().st_mtime_ns == size
    (folder / "new_one.py").write_text("import eventlet\neventlet.sleep(0)\n")
    second = scan(folder, cache)
    assert len(second["findings"]) == len(first["findings"]) + 1
    assert second == scan(folder)


@pytest.mark.parametrize("suffix", [".bin", ".facts"])
@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "gone"])
def test_damaged_cache_is_no_harm(tmp_path, suffix, damage):
    """Whatever is wrong with the cache's files, the answer stays right."""
    folder, cache = tmp_path / "tree", tmp_path / "scan.bin"
    write_tree(FORMS, folder)
    expected = scan(folder, cache)
    file = cache.with_suffix(suffix)
    content = bytearray(file.read_bytes())
    match damage:
        case "cut":
            file.write_bytes(content[: len(content) // 2])
        case "flip":
            for at in range(8, len(content), 97):
                content[at] ^= 0x55
            file.write_bytes(content)
        case "empty":
            file.write_bytes(b"")
        case "gone":
            file.unlink()
    target = next(folder.rglob("*.py"))
    target.write_text("# moved down\n" + target.read_text())
    moved = scan(folder)
    assert scan(folder, cache) == moved
    assert scan(folder, cache) == moved
    assert len(moved["findings"]) == len(expected["findings"])
