"""What mkdocs calls when it builds the site: adds pages from outside docs/, and mends links.

Documents link to files of the repository, as a reader of its folders wants it. In the site a page stays a
page, the text of a file is shown on a page of its own, a notebook by its cells, and a folder is named
without a link.
"""

import json
import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
#: Pages at the top, by their path in the site.
TOP = {
    "index.md": ROOT / "README.md",
    "contributing.md": ROOT / "CONTRIBUTING.md",
    "code_of_conduct.md": ROOT / "CODE_OF_CONDUCT.md",
    "changelog.md": ROOT / "CHANGELOG.md",
}
PICTURES = {".png", ".svg"}
#: A link or a picture: its text in brackets, and where it leads.
LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")


def place(target: Path) -> str | None:
    """Say where the site has a file of the repository; None for a folder."""
    for path, source in TOP.items():
        if source == target:
            return path
    if target.is_dir():
        return None
    if target.is_relative_to(DOCS) and target.suffix in {".md", *PICTURES}:
        return target.relative_to(DOCS).as_posix()
    return f"files/{target.relative_to(ROOT).as_posix()}.md"


def source_of(path: str) -> Path:
    """Say which file of the repository a page of the site is made of."""
    if path.startswith("files/"):
        return ROOT / path.removeprefix("files/").removesuffix(".md")
    return TOP.get(path, DOCS / path)


def linked(path: str, text: str) -> list[Path]:
    """List the files of the repository that a page links to."""
    targets = [match["target"].partition("#")[0] for match in LINK.finditer(text)]
    return [(source_of(path).parent / name).resolve() for name in targets if name and "://" not in name]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages at the top, and a page for each file that a page shows."""
    for path, source in TOP.items():
        files.append(File.generated(config, path, abs_src_path=str(source)))
    shown = {
        (at, target)
        for file in files.documentation_pages()
        for target in linked(file.src_uri, source_of(file.src_uri).read_text(encoding="utf-8"))
        if target.is_file() and (at := place(target)) is not None and at.startswith("files/")
    }
    for at, target in sorted(shown):
        files.append(File.generated(config, at, content=page_of(target)))
    return files


def page_of(file: Path) -> str:
    """Make a page of a file's text."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".ipynb":
        return f"# {file.name}\n\n```{file.suffix.removeprefix('.')}\n{text}```\n"
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(text)["cells"]]
    return "\n\n".join(
        source if kind == "markdown" else f"```python\n{source}\n```" for kind, source in cells
    )


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Have the links of a page lead to pages of the site."""
    here = page.file.src_uri
    # The text of a file is no markup.
    if here.startswith("files/") and source_of(here).suffix != ".ipynb":
        return markdown

    def put(match: re.Match[str]) -> str:
        name, mark, heading = match["target"].partition("#")
        if not name or "://" in name:
            return match[0]
        at = place((source_of(here).parent / name).resolve())
        if at is None:
            return match["text"]
        up = "../" * (len(PurePosixPath(here).parts) - 1)
        return f"{match['picture']}[{match['text']}]({up}{at}{mark}{heading})"

    return LINK.sub(put, markdown)
