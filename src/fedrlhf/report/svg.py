"""Turn matplotlib's SVG into a small one that belongs to the page around it.

Colours become CSS variables, so that a drawing follows light and dark; text stays text in the
page's font; ids get the drawing's name, so that two drawings on a page do not meet.
"""

import re
from collections.abc import Mapping
from xml.etree import ElementTree

_REFERENCE = re.compile(r"url\(#([^)]+)\)|^#(.+)$")
_DECIMAL = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?")
_NO_TURN = re.compile(r"rotate\(-?0(\.0*)? [^)]*\)")
_FONT = re.compile(r"\s*font-family:[^;]*;?")


def tidy(text: str, name: str, title: str, variables: Mapping[str, str]) -> str:
    """Return a drawing as an element that can stand in a page.

    Args:
        text: What matplotlib wrote.
        name: Begins every id; unique within the page.
        title: What a screen reader says instead of the drawing.
        variables: CSS variable for each colour that was drawn with, such as
            ``{"#7e0001": "--ink"}``.
    """
    root = ElementTree.fromstring(text)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.tail = None
        if element.tag not in ("text", "tspan"):
            element.text = None
    _rename(root, name)
    for element in root.iter():
        _shorten(element, variables)
    _simplify(root)
    view = root.get("viewBox", "")
    root.attrib = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": view, "role": "img",
                   "aria-label": title}
    heading = ElementTree.Element("title")
    heading.text = title
    root.insert(0, heading)
    return ElementTree.tostring(root, encoding="unicode")


def _rename(root: ElementTree.Element, name: str) -> None:
    """Keep the ids that something refers to, numbered in the order of their appearance."""
    used = {_target(match) for element in root.iter() for value in element.attrib.values()
            if (match := _REFERENCE.search(value))}
    names: dict[str, str] = {}
    for element in root.iter():
        old = element.attrib.pop("id", None)
        if old in used:
            names[old] = element.attrib["id"] = f"{name}-{len(names)}"
    for element in root.iter():
        for key, value in list(element.attrib.items()):
            if match := _REFERENCE.search(value):
                target = names[_target(match)]
                del element.attrib[key]
                element.attrib[key.rpartition("}")[2]] = (
                    f"url(#{target})" if match[1] else f"#{target}")


def _target(match: re.Match[str]) -> str:
    return str(match[1] or match[2])


def _shorten(element: ElementTree.Element, variables: Mapping[str, str]) -> None:
    attributes = {}
    for key, value in element.attrib.items():
        if key == "transform":
            value = _NO_TURN.sub("", value).strip()
        elif key == "style":
            value = _FONT.sub("", value).strip().rstrip(";")
            for colour, variable in variables.items():
                value = value.replace(colour, f"var({variable})")
        if key not in ("id", "href", "clip-path", "aria-label"):
            value = _DECIMAL.sub(_rounded, value).strip()
        if value:
            attributes[key] = value
    element.attrib = attributes


def _rounded(match: re.Match[str]) -> str:
    text = f"{float(match[0]):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _simplify(element: ElementTree.Element) -> None:
    """Drop metadata and styles, unwrap bare groups, write a style that all marks share once."""
    kept: list[ElementTree.Element] = []
    for child in element:
        _simplify(child)
        if child.tag in ("metadata", "style") or child.tag in ("g", "defs") and not len(child):
            continue
        kept += list(child) if child.tag == "g" and not child.attrib else [child]
    element[:] = kept
    styles = {child.get("style") for child in element}
    if element.tag == "g" and all(child.tag == "use" for child in element) and len(styles) == 1:
        if style := styles.pop():
            element.set("style", style)
            for child in element:
                del child.attrib["style"]
