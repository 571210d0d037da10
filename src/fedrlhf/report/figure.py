"""The common ground of all drawings: size, fonts, colours, and from matplotlib to the page.

Figures are matplotlib's `Figure` objects that are written as SVG; pyplot and its global state are
never touched and no backend is chosen. Lengths are points of a drawing that is 420 wide; the page
scales it.
"""

import io
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from fedrlhf.report.parts import Key, Picture
from fedrlhf.report.svg import tidy
from fedrlhf.report.words import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

WIDTH = 420
FONT = 12.3
SERIES = tuple(f"c{number}" for number in range(1, 9))
_NAMES = ("ink", "soft", "edge", "panel", "shade", *SERIES)
# Colours that no drawing has otherwise; they stand for the page's variables until `tidy`.
_SENTINELS = {name: f"#7e00{number:02x}" for number, name in enumerate(_NAMES, 1)}

Box = tuple[float, float, float, float]  # left, bottom, width, height
Point = tuple[float, float]  # across, up


def colour(name: str) -> str:
    """Return the colour to draw with where the page has a palette name."""
    return _SENTINELS[name]


def series(index: int) -> str:
    """Return the palette name of the i-th of several things; it repeats after eight."""
    return SERIES[index % len(SERIES)]


def picture(name: str, title: str, caption: str, draw: Callable[["Figure"], None],
            height: float = 220, keys: Sequence[Key] = ()) -> Picture:
    """Draw a figure and return it as a part of a page.

    Args:
        name: Unique within the page; begins the drawing's ids.
        title: The kind of drawing and what it shows, for those who do not see it.
        caption: One sentence that says what to see.
        draw: Draws into the figure.
        height: In points; the width is 420.
        keys: The legend.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context(["default", _settings()]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # glyphs that matplotlib lacks: the browser has them
        figure = Figure(figsize=(WIDTH / 72, height / 72), layout="constrained")
        figure.patch.set_visible(False)
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    variables = {sentinel: f"--{name}" for name, sentinel in _SENTINELS.items()}
    return Picture(Markup(tidy(text.getvalue(), name, plain(title, 300), variables)),
                   caption, tuple(keys))


def _settings() -> dict[str, Any]:
    ink, soft, edge = colour("ink"), colour("soft"), colour("edge")
    return {
        "svg.fonttype": "none", "svg.hashsalt": "fedrlhf", "text.parse_math": False,
        "font.size": FONT, "text.color": ink, "axes.labelcolor": soft, "axes.labelsize": FONT,
        "axes.titlesize": FONT, "axes.titlecolor": soft, "axes.titlelocation": "left",
        "axes.titlepad": 10, "axes.edgecolor": edge, "axes.linewidth": 1,
        "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False,
        "axes.grid": True, "axes.grid.axis": "y", "axes.axisbelow": True, "grid.color": edge,
        "grid.linewidth": 0.8, "grid.alpha": 0.6, "xtick.color": soft, "ytick.color": soft,
        "xtick.major.size": 0, "ytick.major.size": 0, "xtick.minor.size": 0,
        "ytick.minor.size": 0, "xtick.major.pad": 6, "lines.linewidth": 2,
        "lines.solid_capstyle": "round", "figure.constrained_layout.h_pad": 0.06,
        "figure.constrained_layout.w_pad": 0.04,
    }


def plane(figure: "Figure", up: str, across: str,
          place: tuple[int, int, int] = (1, 1, 1)) -> "Axes":
    """Add axes whose vertical quantity is named above them, where it is read without turning."""
    axes = figure.add_subplot(*place)
    axes.patch.set_visible(False)
    axes.set_title(up)
    axes.set_xlabel(across)
    return axes


def whole_numbers(axis: "Axis", most: int = 7) -> None:
    """Put ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=most, integer=True, min_n_ticks=1))


def percentages(axis: "Axis", most: int = 6) -> None:
    """Write an axis of shares in per cent."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    axis.set_major_locator(MaxNLocator(nbins=most, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def boxes(axes: "Axes", found: Sequence[Box], name: str, opacity: float = 1.0) -> None:
    """Fill rectangles as one path, however many they are."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    if not found:
        return
    corners = [[(x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y)] for x, y, w, h in found]
    shape = Path.make_compound_path(*(Path(corner, closed=True) for corner in corners))
    axes.add_patch(PathPatch(shape, facecolor=colour(name), edgecolor="none", alpha=opacity))
    axes.autoscale_view()


def dots(axes: "Axes", points: Sequence[Point], name: str, area: float, *, marker: str = "o",
         hollow: bool = False, opacity: float = 1.0) -> None:
    """Mark points; a cross, a bar and a hollow mark are lines, the others are filled."""
    across, up = zip(*points, strict=True)
    axes.scatter(across, up, s=area, marker=marker, alpha=opacity, edgecolors=colour(name),
                 facecolors="none" if hollow else colour(name),
                 linewidths=1.5 if hollow or marker in "|x" else 0, zorder=3)


def level(axes: "Axes", value: float) -> None:
    """Draw a horizontal reference line; the legend names it, where nothing can cover the name."""
    axes.axhline(value, color=colour("soft"), linewidth=1, linestyle=(0, (3, 3)), zorder=1)


def upright(axes: "Axes", value: float) -> None:
    """Draw a vertical reference line."""
    axes.axvline(value, color=colour("soft"), linewidth=1, linestyle=(0, (3, 3)))
