"""Hooks of MkDocs: what is made goes into the build, and links are made to fit the site."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from website import commands, gallery, links, notebooks, rundir

_MARKERS: dict[str, Callable[[], str]] = {
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
            for picture, content in rendered.files.items():
                _put(files, config, f"tutorials/{picture}", content)
        for file in gallery.files():
            _put(files, config, file.relative_to(notebooks.MADE).as_posix(), file)
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
    try:
        return links.rewritten(markdown, page.file.src_uri)
    except FileNotFoundError as error:
        raise PluginError(f"{page.file.src_uri}: {error.filename} does not exist") from error
