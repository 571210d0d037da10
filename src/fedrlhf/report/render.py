"""Fill the templates and write the pages."""

from pathlib import Path
from typing import Any

from fedrlhf.errors import UserError
from fedrlhf.files import write_text
from fedrlhf.report.words import writable

_TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **content: Any) -> str:
    """Fill a template; on a page, every text that is not marked as safe is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=not template.endswith(".md.j2"),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return writable(environment.get_template(template).render(**content)).rstrip() + "\n"


def save(page: str, target: Path) -> Path:
    """Write a page in one step and return where it is.

    Raises:
        UserError: The place is a folder or cannot be written to.
    """
    if target.is_dir():
        raise UserError(f"{target} is a folder; name the page to write, such as "
                        f"{target / 'report.html'}")
    try:
        write_text(target, page)
    except OSError as error:
        raise UserError(f"{target} cannot be written: {error}") from error
    return target
