"""The built site: no page asks outside, and every link leads somewhere.

MkDocs checks links between its pages; this sees all of what was written: generated pages, reports,
raw HTML, style sheets.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: attributes that a browser loads by itself.
_LOADED = {
    **dict.fromkeys(("img", "iframe", "script", "source", "embed", "audio", "video"), "src"),
    "object": "data",
    "link": "href",
}
#: relations of `link` that are named and not loaded.
_NAMED = {"canonical", "prev", "next", "alternate"}
_IN_STYLE = re.compile(r"""(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^"')\s]+)""")


class _Reader(HTMLParser):
    """Gathers what a page loads, what it links to, and its anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.style = ""
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take down addresses and anchors."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        self._inside = tag == "style"
        self.style += given.get("style", "")
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        named = tag == "link" and set(given.get("rel", "").split()) & _NAMED
        if (attribute := _LOADED.get(tag)) and given.get(attribute) and not named:
            self.loaded.append(given[attribute])
        if given.get("srcset"):
            self.loaded += [part.split()[0] for part in given["srcset"].split(",") if part.split()]

    def handle_data(self, data: str) -> None:
        """Take down style sheets that stand in the page."""
        if self._inside:
            self.style += data


def read(page: str) -> _Reader:
    """Read a page of HTML."""
    reader = _Reader()
    reader.feed(page)
    return reader


def asks_outside(page: str) -> list[str]:
    """Return the addresses outside that a page of HTML would load by itself."""
    reader = read(page)
    found = [a for a in reader.loaded if a.startswith("//") or urlsplit(a).scheme in _OUTSIDE]
    return found + _IN_STYLE.findall(reader.style)


_OUTSIDE = {"http", "https", "ftp", "ws", "wss"}


def problems(site: Path) -> list[str]:
    """Return what is wrong with a built site, a line each; empty where all is well.

    Args:
        site: its folder.
    """
    pages = {path: read(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, reader in pages.items():
        name = path.relative_to(site).as_posix()
        found += [f"{name} asks {a}" for a in asks_outside(path.read_text("utf-8"))]
        if name == "404.html":  # its links are absolute, since it stands for any address
            continue
        for address in {*reader.links, *reader.loaded}:
            if problem := _lost(address, path, pages):
                found.append(f"{name}: {address}: {problem}")
    for path in sorted(site.rglob("*.css")):
        outside = _IN_STYLE.findall(path.read_text("utf-8"))
        found += [f"{path.relative_to(site)} asks {address}" for address in outside]
    return found


def _lost(address: str, page: Path, pages: dict[Path, _Reader]) -> str:
    """Say what is wrong with an address of a page; nothing where it leads somewhere."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return ""
    target = page if not parts.path else (page.parent / unquote(parts.path)).resolve()
    if target.is_dir():
        target /= "index.html"
    if not target.exists():
        return "no such file"
    anchor = unquote(parts.fragment)
    known = pages.get(target)
    if anchor and known is not None and anchor not in known.anchors and anchor != "__top":
        return "no such anchor"
    return ""
