"""Filling a template: one file that opens offline, in which every text is escaped."""

from __future__ import annotations

from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from taskdiscovery.types import Document


def render(template: str, context: Document) -> str:
    """Fill a template; everything is escaped but our own style, script and figures.

    Args:
        template: a file beside this one.
        context: what it names, and `sprites`: data: addresses by name.
    """
    here = resources.files("taskdiscovery.reporting")
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(lambda name: (here / name).read_text("utf-8")),
    )
    sprites = "".join(f"--s-{name}:url({uri});" for name, uri in context.pop("sprites").items())
    style = (here / "style.css").read_text("utf-8") + f":root{{{sprites}}}"
    return environment.from_string((here / template).read_text("utf-8")).render(
        **context,
        style=Markup(style),  # our own file, and base64
        script=Markup((here / "script.js").read_text("utf-8")),
    )
