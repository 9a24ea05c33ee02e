"""Hooks of MkDocs: what is made goes into the build, and links that leave docs/ become words.

Pages in docs/ are read in the repository, too, where a link to a file of results or to a notebook
leads somewhere. On the site the first is told by its path, and the second is its executed page.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from website import commands, gallery, notebooks, rundir

_DOCS = notebooks.ROOT / "docs"
#: an image or a link whose target is no address.
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?://|#|mailto:)([^)\s#]+)(#[^)]*)?\)")
_MARKERS = {
    "commands": commands.page,
    "gallery": gallery.page,
    "files": lambda: rundir.page(gallery.example_run()),
}


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add the executed notebooks, as pages and as files, and the reports."""
    try:
        for name in notebooks.names():
            rendered = notebooks.render(name)
            _put(files, config, f"tutorials/{name}.md", rendered.markdown)
            _put(files, config, f"tutorials/{name}.ipynb", notebooks.executed_file(name))
            for file, content in rendered.files.items():
                _put(files, config, f"tutorials/{file}", content)
        for report in gallery.reports():
            _put(files, config, f"gallery/{report.name}.html", report.file)
    except FileNotFoundError as error:
        raise PluginError(f"{error.filename} is not made yet: run `make docs`") from error
    return files


def _put(files: Files, config: Any, path: str, content: str | bytes | Path) -> None:
    if (old := files.get_file_from_path(path)) is not None:
        files.remove(old)
    if isinstance(content, Path):
        if not content.exists():
            raise FileNotFoundError(2, "no such file", str(content))
        file = File.generated(config, path, abs_src_path=str(content))
    else:
        file = File.generated(config, path, content=content)
    files.append(file)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in what is made, and see to links."""
    for name, make in _MARKERS.items():
        marker = f"<!-- website: {name} -->"
        if marker in markdown:
            markdown = markdown.replace(marker, make())
    return with_links(markdown, page.file.src_uri)


def with_links(markdown: str, source: str) -> str:
    """Rewrite the links of a page, outside of blocks of code.

    Args:
        markdown: of the page.
        source: its path in docs/.

    Returns:
        Links to notebooks lead to their pages. Links that leave docs/ are replaced by their text
        and the path in the repository; pictures that lie there are not shown.
    """
    folder = (_DOCS / source).parent

    def replaced(match: re.Match[str]) -> str:
        picture, text, target, anchor = match[1], match[2], match[3], match[4] or ""
        path = (folder / target).resolve()
        if path.suffix == ".ipynb" and not picture and "{" not in match.string[match.end() :][:1]:
            return f"[{text}]({target.removesuffix('.ipynb')}.md{anchor})"
        if path.is_relative_to(_DOCS):
            return match[0]
        known = path.relative_to(notebooks.ROOT).as_posix()
        if not path.exists():
            raise PluginError(f"{source}: {target} does not exist")
        if picture:
            return f"*({text}: `{known}` in the repository)*"
        return f"`{known}`" if text in ("file", known) else f"{text} (`{known}`)"

    blocks = re.split(r"(^```.*?^```|^````.*?^````)", markdown, flags=re.M | re.S)
    return "".join(
        part if part.startswith("```") else _LINK.sub(replaced, part) for part in blocks
    )
