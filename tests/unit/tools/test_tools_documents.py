"""The documents: links lead somewhere, named files exist, and the README leads to every page."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", *(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")))

MOST_README_LINES = 150

_FENCE = re.compile(r"^```.*?^```$", flags=re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", flags=re.MULTILINE)
_NAME = re.compile(r"`([\w.*-]+(?:/[\w.*-]*)*)`")
_FILE_SUFFIXES = frozenset({".go", ".json", ".mod", ".md", ".py", ".sh", ".txt", ".yaml"})


def prose(page: str) -> str:
    """Return a page without its blocks of code."""
    return _FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))


def anchors(page: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    texts = (re.sub(r"\]\([^)]*\)", "]", heading).lower() for heading in _HEADING.findall(prose(page)))
    return {re.sub(r"[^\w -]", "", text).strip().replace(" ", "-") for text in texts}


def links(page: str) -> list[str]:
    """Return the targets of the links of a page."""
    return _LINK.findall(_CODE.sub("", prose(page)))


def broken_links(page: str) -> Iterator[str]:
    """Yield the relative links of a page that lead nowhere."""
    for link in links(page):
        if ":" in link:
            continue
        name, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / name).resolve() if name else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(str(target.relative_to(ROOT)))):
            yield link


def missing_files(line: str, folders: list[Path]) -> Iterator[str]:
    """Yield the files and folders that a line names and that do not exist.

    A name is relative to one of `folders`, or to the folder of a name before it in the line.
    """
    for name in _NAME.findall(line):
        if "/" not in name and Path(name).suffix not in _FILE_SUFFIXES:
            continue
        found = next((paths for folder in folders if (paths := sorted(folder.glob(name.rstrip("/"))))), None)
        if found is None:
            yield name
        else:
            folders = [*folders, *(path if path.is_dir() else path.parent for path in found)]


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_to_a_heading(page: str) -> None:
    assert list(broken_links(page)) == []


def test_the_map_of_contributing_names_only_existing_files() -> None:
    rows = [line for line in prose("CONTRIBUTING.md").splitlines() if line.startswith("|")]
    assert [name for row in rows for name in missing_files(row, [ROOT])] == []


def test_the_architecture_names_only_existing_modules() -> None:
    lines = prose("docs/architecture.md").splitlines()
    folders = [ROOT / "operator" / "caisson", ROOT]
    assert [name for line in lines for name in missing_files(line, folders)] == []


def test_a_missing_file_is_found_by_its_name() -> None:
    assert list(missing_files("| `docs/none.md`, `docs/`, `none.md`, `spec.image` |", [ROOT])) == [
        "docs/none.md",
        "none.md",
    ]


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= MOST_README_LINES


def test_the_readme_links_to_every_page() -> None:
    assert {page for page in PAGES if page != "README.md"} <= set(links("README.md"))
