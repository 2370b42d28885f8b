"""The documents as a site: it builds without a broken link, holds every page, and asks no other host."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from mkdocs.commands import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

ROOT = Path(__file__).parents[2]
#: What the site is made of.
PARTS = ["mkdocs.yml", "docs", "README.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "CHANGELOG.md"]
PARTS += ["LICENSE", "CITATION.cff", "config.yaml", "rules", "scripts", "envs"]


def build_site(folder: Path, site: Path) -> None:
    config = load_config(str(folder / "mkdocs.yml"), site_dir=str(site))
    build.build(config)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build_site(ROOT, folder)
    return folder


def test_every_document_is_a_page_of_the_navigation(site: Path) -> None:
    navigation = str(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    for document in (ROOT / "docs").glob("*.md"):
        assert f"'{document.name}'" in navigation
        assert (site / document.with_suffix(".html").name).exists()
    home = (site / "index.html").read_text()
    assert 'src="leaderboard.png"' in home
    assert 'href="own-log.html"' in home


def test_what_is_no_document_is_shown_or_named(site: Path) -> None:
    home = (site / "index.html").read_text()
    assert 'href="files/config.yaml.html"' in home
    assert "yaml-language-server" in (site / "files/config.yaml.html").read_text()
    assert re.search(r"Rules are in\s+rules/", home)


def test_a_page_loads_nothing_from_another_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|link|img|iframe)\b[^>]*?(?:src|href)="([^"]+)"', page.read_text())
        assert loaded
        assert not [address for address in loaded if re.match(r"(https?:)?//", address)], page.name


@pytest.mark.parametrize(
    "link", ["[a](gone.md)", "[a](results.md#gone)", "[a](../gone.yaml)", "![a](gone.png)", "[a](#gone)"]
)
def test_a_link_that_leads_nowhere_ends_the_build(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, link: str
) -> None:
    for part in PARTS:
        if (ROOT / part).is_dir() and part != "docs":
            (tmp_path / part).mkdir()
        elif (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, tmp_path / part)
        else:
            shutil.copy2(ROOT / part, tmp_path / part)
    (tmp_path / "scripts" / "popularity").mkdir()
    with (tmp_path / "docs" / "own-log.md").open("a") as page:
        page.write(f"\n{link}\n")
    with pytest.raises(Abort):
        build_site(tmp_path, tmp_path / "site")
    assert "gone" in caplog.text
