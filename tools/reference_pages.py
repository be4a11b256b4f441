"""Write the parameter tables of docs/reference from the templates.

    .venv/bin/python tools/reference_pages.py

A page says where a table belongs with two comments; all between them is written anew:

    <!-- parameters: blender render -->
    <!-- end of parameters -->
"""

import re
import sys
from pathlib import Path

from farm.products import BUILT_IN, Parameter, ProductError, Template

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
MARKED = re.compile(
    r"(<!-- parameters: (?P<app>\w+) (?P<operation>\w+) -->\n).*?(<!-- end of parameters -->)",
    re.DOTALL,
)
"""A marked place in a page: the product and the operation, and the table between the comments."""

_HEAD = "| Name | Type | Default | Values | Means |\n|---|---|---|---|---|\n"
_TYPES = {"string": "text"}


def with_tables(text: str) -> str:
    """Return a page with all its tables as the templates say.

    Raises:
        farm.products.ProductError: a comment names a product or operation without template.
    """
    return MARKED.sub(lambda match: f"{match[1]}{_marked(match)}{match[4]}", text)


def table(template: Template) -> str:
    """Return the table of a template's parameters, in Markdown."""
    return _HEAD + "".join(map(_row, template.parameters))


def _marked(match: re.Match[str]) -> str:
    template = BUILT_IN.load(match["app"], match["operation"])
    if template is None:
        raise ProductError(f"There is no template for {match['app']} {match['operation']}.")
    return table(template)


def _row(parameter: Parameter) -> str:
    cells = [
        f"`{parameter.name}`",
        _TYPES.get(parameter.type, parameter.type),
        _default(parameter),
        _values(parameter),
        _cell(parameter.description),
    ]
    return "| " + " | ".join(cells) + " |\n"


def _default(parameter: Parameter) -> str:
    if parameter.required:
        return "required"
    if parameter.default in ("", [], {}):
        return "empty"
    value = parameter.default
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _values(parameter: Parameter) -> str:
    """Return the allowed values, each with its other names; or the limits of a number."""
    if parameter.type == "bool":
        return "`true`, `false`"
    others: dict[str, list[str]] = {}
    for word, choice in parameter.aliases.items():
        if word != choice.casefold().replace("_", ""):
            others.setdefault(choice, []).append(word)
    named = [
        f"`{choice}`" + (f" ({', '.join(others[choice])})" if choice in others else "")
        for choice in parameter.choices
        if choice
    ]
    if named:
        return ", ".join(named)
    if parameter.minimum is None and parameter.maximum is None:
        return ""
    if parameter.maximum is None:
        return f"{parameter.minimum} or more"
    if parameter.least is not None:
        return f"0, {parameter.least} to {parameter.maximum}"
    least = "" if parameter.minimum is None else f"{parameter.minimum} to "
    return f"{least or 'up to '}{parameter.maximum}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write the pages; name those that changed."""
    for page in sorted(REFERENCE.glob("*.md")):
        old = page.read_text(encoding="utf-8")
        new = with_tables(old)
        if new != old:
            page.write_text(new, encoding="utf-8")
            sys.stdout.write(f"{page.name}\n")


if __name__ == "__main__":
    main()
