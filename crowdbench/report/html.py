"""Render templates into one self-contained HTML file that cannot load or run anything else.

Jinja2 escapes whatever is not explicitly marked as HTML (names of plugins and files, text in records). Should
something get past it, the page's content security policy allows only this page's own script and style.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).with_name("templates")
# What a browser does not show, or takes for an error: control characters, white space excepted.
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")


def rendered(template: str, switches: Mapping[str, str] | None = None, **values: Any) -> bytes:
    r"""Fill a template.

    Args:
        template: a file's name in ``templates/``; it extends ``base.html``.
        switches: what a checkbox rules, by its id: selector and declarations for when it is not checked, as
            in ``{"run-3": ".r3{display:none}"}``. Never made of text from elsewhere.
        **values: what the template asks for.

    Returns:
        The page in UTF-8. What is not Unicode (names of files) is written as ``\udcff``.
    """
    switches = switches or {}
    # A script sets classes. Without one browsers have to look for the checkbox themselves, which is slow
    # where thousands of elements depend on it.
    style = (TEMPLATES / "page.css").read_text() + "".join(
        f".off-{name} {rule}\n" for name, rule in switches.items()
    )
    without_script = "".join(f"body:has(#{name}:not(:checked)) {rule}\n" for name, rule in switches.items())
    script = (TEMPLATES / "page.js").read_text()
    html = (
        _environment()
        .get_template(template)
        .render(
            style=Markup(style),
            style_without_script=Markup(without_script),
            script=Markup(script),
            policy=policy([style, without_script], script),
            **values,
        )
    )
    return html.encode("utf-8", "backslashreplace")


def is_page(content: bytes) -> bool:
    """Whether a file's content is a page that crowdbench made, of this version or another."""
    return (
        content.startswith(b"<!DOCTYPE html>") and b'<meta name="generator" content="crowdbench">' in content
    )


def policy(styles: Iterable[str], script: str) -> str:
    """The content security policy of a page with these inline styles and one inline script."""
    return (
        f"default-src 'none'; style-src {' '.join(map(_hash, styles))}; script-src {_hash(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    return environment


def _shown(value: Any) -> Any:
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return _UNSEEN.sub("\ufffd", value)


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction in percent; a dash where there was nothing to count."""
    if value is None or not value >= 0:
        return "–"
    return f"{100 * value:.{digits}f}"
