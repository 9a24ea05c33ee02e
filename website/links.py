"""Links of pages that are read in two places: in the repository, and on the site.

In the repository a link to a file of results or to a notebook leads somewhere. On the site the
first is told by its path, and the second is its executed page.
"""

from __future__ import annotations

import re

from website import notebooks

_DOCS = notebooks.ROOT / "docs"
#: an image or a link whose target is no address.
_LINK = re.compile(
    r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]"  # its text
    r"\((?!https?://|#|mailto:)([^)\s#]+)(#[^)]*)?\)"  # where it leads
    r"(\{[^}]*\})?"  # attributes: `{download}` means the notebook itself
)
_IN_TABLE = re.compile(r"^\|.*$", re.M)
_CODE = re.compile(r"`[^`\n]+`")


def rewritten(markdown: str, source: str) -> str:
    """Rewrite the links of a page, outside of blocks of code.

    Args:
        markdown: of the page.
        source: its path in docs/.

    Returns:
        Links to notebooks lead to their pages. Links that leave docs/ are replaced by their text
        and the path in the repository; pictures that lie there are not shown.

    Raises:
        FileNotFoundError: for a link out of docs/ to what is not there.
    """
    folder = (_DOCS / source).parent

    def replaced(match: re.Match[str]) -> str:
        picture, text, target, anchor = match[1], match[2], match[3], match[4] or ""
        path = (folder / target).resolve()
        if path.suffix == ".ipynb" and not picture and match[5] is None:
            return f"[{text}]({target.removesuffix('.ipynb')}.md{anchor})"
        if path.is_relative_to(_DOCS):
            return match[0]
        known = path.relative_to(notebooks.ROOT).as_posix()
        if not path.exists():
            raise FileNotFoundError(2, "no such file", target)
        if picture:
            return f"*({text}: `{known}` in the repository)*"
        return f"`{known}`" if text in ("file", known) else f"{text} (`{known}`)"

    def part_of(text: str) -> str:
        return _LINK.sub(replaced, _IN_TABLE.sub(lambda row: _CODE.sub(_bars, row[0]), text))

    blocks = re.split(r"(^```.*?^```|^````.*?^````)", markdown, flags=re.M | re.S)
    return "".join(part if part.startswith("```") else part_of(part) for part in blocks)


def _bars(code: re.Match[str]) -> str:
    r"""`a \| b` in a table, as GitHub wants it, for a reader that shows the backslash."""
    return code[0].replace("\\|", "|")
