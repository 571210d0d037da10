"""From matplotlib's drawing to an element of a page."""

import math
import re
from xml.etree import ElementTree

from matplotlib.figure import Figure

from fedrlhf.report.figure import boxes, colour, picture, plane
from fedrlhf.report.svg import tidy

RAW = """<?xml version="1.0"?>
<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="9pt" viewBox="0 0 9 9"
 xmlns="http://www.w3.org/2000/svg"><metadata>when and by whom</metadata>
 <defs><style type="text/css">*{stroke: red}</style></defs>
 <g id="figure_1"><defs><path id="m1" d="M 0.123456 1.000001
L -0.0001 2"/></defs><g clip-path="url(#c1)">
 <use xlink:href="#m1" x="1.5" style="fill: #7e0001"/>
 <use xlink:href="#m1" x="2.5" style="fill: #7e0001"/></g>
 <text style="font-size: 9px; font-family: 'X', sans-serif; text-anchor: end"
  transform="rotate(-0 1.0 2.0)">a &lt;b&gt;</text></g>
 <defs><clipPath id="c1"><rect width="1"/></clipPath></defs></svg>"""
SPACE = "{http://www.w3.org/2000/svg}"


def tidied() -> ElementTree.Element:
    """Return the drawing above, tidied and parsed."""
    return ElementTree.fromstring(tidy(RAW, "fig", "A <title>", {"#7e0001": "--ink"}))


def test_what_goes() -> None:
    """Sizes, metadata, style sheets, ids that nothing refers to, fonts, empty turns."""
    root = tidied()
    text = ElementTree.tostring(root, encoding="unicode")
    assert not re.search("metadata|stroke: red|figure_1|font-family|rotate|9pt", text)
    label = root.find(f"{SPACE}text")
    assert label is not None
    assert (label.text, label.get("style")) == ("a <b>", "font-size: 9px; text-anchor: end")


def test_what_stays_and_how() -> None:
    """Ids are numbered under the drawing's name, numbers rounded, a shared style written once."""
    root = tidied()
    path, group = root.find(f".//{SPACE}path"), root.find(f"{SPACE}g")
    assert path is not None
    assert group is not None
    assert (path.get("id"), path.get("d")) == ("fig-0", "M 0.12 1 L 0 2")
    assert group.attrib == {"clip-path": "url(#fig-1)", "style": "fill: var(--ink)"}
    assert [mark.attrib for mark in group] == [
        {"href": "#fig-0", "x": "1.5"}, {"href": "#fig-0", "x": "2.5"}]


def test_text_alternative() -> None:
    """For those who do not see the drawing."""
    root = tidied()
    assert (root.get("role"), root.get("aria-label"), root[0].text) == ("img", "A <title>",
                                                                        "A <title>")


def test_drawings_leave_matplotlib_as_it_was() -> None:
    """The process's settings are not changed, and equal drawings have equal bytes."""
    import matplotlib

    before = dict(matplotlib.rcParams)
    drawn = [picture("x", "t", "c", lambda figure: None).svg for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert dict(matplotlib.rcParams) == before


def test_users_settings_do_not_matter() -> None:
    """A matplotlibrc with other sizes changes nothing."""
    import matplotlib

    def draw(figure: Figure) -> None:
        plane(figure, "up", "across").plot([0, 1], color=colour("c1"))

    usual = picture("x", "t", "c", draw).svg
    with matplotlib.rc_context({"font.size": 40, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert picture("x", "t", "c", draw).svg == usual


def test_boxes_are_one_path() -> None:
    """Three boxes of 1 by 1 in one path: three moves, three closes."""
    drawn = picture("x", "t", "c", lambda figure: boxes(
        plane(figure, "", ""), [(float(i), 0.0, 1.0, 1.0) for i in range(3)], "c2")).svg
    paths = [path for path in re.findall(r'<path d="([^"]*)"[^>]*var\(--c2\)', drawn)]
    assert len(paths) == 1
    assert paths[0].count("M") == paths[0].count("z") == 3
    assert math.isclose(len(set(re.findall(r"[ML] ([\d.]+)", paths[0]))), 4)
