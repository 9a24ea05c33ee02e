"""Notebooks: executed once for what they say, and turned into Markdown with their outputs.

A notebook is executed in a folder of its own, where it may write runs and reports. What was
executed is kept until the notebook or the package changes.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "docs" / "tutorials"
MADE = ROOT / "build" / "website"
#: seconds for one cell.
_LIMIT = 1800


@dataclass(frozen=True)
class Rendered:
    """A notebook as a page.

    Attributes:
        markdown: of the page.
        files: pictures that it shows, by their names beside it.
    """

    markdown: str
    files: dict[str, bytes] = field(default_factory=dict)


def names() -> list[str]:
    """Name the notebooks, in the order of their files."""
    return sorted(path.stem for path in SOURCES.glob("*.ipynb"))


def folder_of(name: str) -> Path:
    """Return where a notebook is executed, and what it writes stays."""
    return MADE / "work" / name


def executed_file(name: str) -> Path:
    """Return where a notebook with its outputs is kept."""
    return MADE / "notebooks" / f"{name}.ipynb"


def state_of(path: Path) -> str:
    """Return a digest of a notebook and of the package, by which outputs are known as theirs."""
    digest = hashlib.sha256(path.read_bytes())
    for file in sorted((ROOT / "src").rglob("*")):
        if file.suffix in {".py", ".yaml", ".j2", ".css", ".js"}:
            digest.update(file.read_bytes())
    return digest.hexdigest()


def execute(name: str) -> bool:
    """Execute a notebook, unless that was done in the state that it and the package are in.

    Args:
        name: of the notebook.

    Returns:
        Whether it was executed now. One whose `needs` (modules, in its metadata) are not installed
        is kept without outputs, and its page says so.

    Raises:
        nbclient.exceptions.CellExecutionError: where a cell fails.
    """
    import nbformat
    from nbclient import NotebookClient
    from traitlets.config import Config

    source, kept, folder = SOURCES / f"{name}.ipynb", executed_file(name), folder_of(name)
    state = state_of(source)
    notebook: Any = nbformat.read(source, as_version=4)
    own = notebook.metadata.setdefault("taskdiscovery", {})
    own["missing"] = [m for m in own.get("needs", []) if importlib.util.find_spec(m) is None]
    if kept.exists():
        before = json.loads(kept.read_text("utf-8"))["metadata"]["taskdiscovery"]
        if before.get("state") == state and before.get("missing") == own["missing"]:
            return False
    own["state"] = state
    began = time.monotonic()
    if not own["missing"]:
        _empty(folder)
        os.environ["TASKDISCOVERY_PROGRESS"] = "off"  # a bar would be a page of control characters
        os.environ["TASKDISCOVERY_CACHE"] = str(MADE / "cache")
        where = {"metadata": {"path": str(folder)}}
        limits = {"timeout": _LIMIT, "startup_timeout": _LIMIT}
        with tempfile.TemporaryDirectory() as sockets:
            settings = Config({"KernelManager": _spoken_to(sockets)})
            NotebookClient(notebook, config=settings, resources=where, **limits).execute()
        own["seconds"] = round(time.monotonic() - began)
    kept.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, kept)
    return True


def _spoken_to(folder: str) -> dict[str, str]:
    """Have the kernel spoken to by sockets in a folder where there are such, not by open ports."""
    return {"transport": "ipc", "ip": f"{folder}/kernel"} if os.name == "posix" else {}


def _empty(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


# --- as a page ---


def render(name: str) -> Rendered:
    """Turn an executed notebook into Markdown.

    Args:
        name: of the notebook.

    Raises:
        FileNotFoundError: where it was not executed; `python -m website make` does it.
    """
    notebook = json.loads(executed_file(name).read_text("utf-8"))
    files: dict[str, bytes] = {}
    parts = [
        part
        for number, cell in enumerate(notebook["cells"])
        for part in _cell(cell, f"{name}_files/{number}", files)
    ]
    parts.insert(1, _note(name, notebook["metadata"]["taskdiscovery"]))
    return Rendered("\n\n".join(parts) + "\n", files)


def _note(name: str, own: dict[str, Any]) -> str:
    download = f"[{name}.ipynb]({name}.ipynb){{download}}"
    if own["missing"]:
        modules = ", ".join(f"`{module}`" for module in own["missing"])
        return (
            '!!! warning "Not executed in this build"\n'
            f"    {modules} is not installed here, so outputs are left out. Download {download}."
        )
    return (
        f"*Executed when this site was built, in {own['seconds']} seconds; nothing is edited. "
        f"Download {download}.*"
    )


def _cell(cell: dict[str, Any], stem: str, files: dict[str, bytes]) -> Iterator[str]:
    text = "".join(cell["source"]).strip()
    if not text:
        return
    if cell["cell_type"] == "markdown":
        yield text
        return
    yield f"```python\n{text}\n```"
    for number, output in enumerate(cell.get("outputs", [])):
        yield from _output(output, f"{stem}_{number}", files)


def _output(output: dict[str, Any], stem: str, files: dict[str, bytes]) -> Iterator[str]:
    if output["output_type"] == "stream":
        yield _text("".join(output["text"]))
        return
    shown = output.get("data", {})
    if "image/png" in shown:
        files[f"{stem}.png"] = base64.b64decode("".join(shown["image/png"]))
        yield f"![]({stem}.png){{.figure}}"
    elif "text/html" in shown:
        # Blank lines would end the block of HTML within Markdown.
        lines = "".join(shown["text/html"]).splitlines()
        html = "\n".join(line for line in lines if line.strip())
        yield f'<div class="output">\n{html}\n</div>'
    elif "text/plain" in shown:
        yield _text("".join(shown["text/plain"]))


def _text(text: str) -> str:
    fence = "````" if "```" in text else "```"
    return f"{fence}{{.text .output}}\n{text.rstrip()}\n{fence}"
