"""The ratios as an SVG plot: a row a workload, a dot a peer with its spread as a bar, the goal as a small upright line.
Pure: a summary of results.py in, text out; needs no other program."""

import math
from xml.sax.saxutils import escape

COLOURS = ("#0b6fa4", "#d9730d", "#2e8b57", "#8e44ad", "#b03a2e", "#5d6d7e", "#b8860b", "#148f77")
ROW, LEFT, WIDTH = 30, 330, 620
TICKS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 10.0)


def scale(rows):
    """(low, high, function from a ratio to a horizontal place), logarithmic: half and double are equally far from 1."""
    values = [value for row in rows for value in (row["low"], row["high"], row["goal"], 1.0) if value]
    low, high = min(values) / 1.06, max(values) * 1.06
    place = lambda value: LEFT + WIDTH * (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
    return low, high, place


def text(x, y, words, anchor="start", size=13, colour="#222", weight="normal"):
    return ('<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d" fill="%s" font-weight="%s">%s</text>'
            % (x, y, anchor, size, colour, weight, escape(words)))


def line(x1, y1, x2, y2, colour, width=1.0, more=""):
    return '<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%.1f"%s/>' % (
        x1, y1, x2, y2, colour, width, more)


def axis(low, high, place, top, bottom):
    out, last = [], -100.0
    for tick in TICKS:
        if not low <= tick <= high:
            continue
        x = place(tick)
        out.append(line(x, top - 8, x, bottom, "#555" if tick == 1.0 else "#e4e4e4", 1.4 if tick == 1.0 else 1.0))
        if x - last >= 26 or tick == 1.0:
            out.append(text(x, bottom + 16, "%g" % tick, "middle", 11, "#555"))
            last = x
    return out


def legend(series):
    """The marks and their names, in as many lines as they need; and how far down they reach."""
    out, x, y = [], float(LEFT), 52.0
    for name, colour in [*series.items(), ("goal (in the colour of its dot)", "")]:
        wide = 30 + 7.2 * len(name)
        if x > LEFT and x + wide > LEFT + WIDTH:
            x, y = float(LEFT), y + 20
        out.append('<circle cx="%.1f" cy="%.1f" r="5" fill="%s"/>' % (x, y, colour) if colour
                   else line(x, y - 7, x, y + 7, "#222", 2.4))
        out.append(text(x + 10, y + 4, name, size=12))
        x += wide
    return out, y


def marks(row, place, y, colour):
    """One ratio: spread, dot, goal."""
    out = [line(place(row["low"]), y, place(row["high"]), y, colour, 2.2, ' stroke-opacity="0.45"')]
    if row["goal"]:
        x = place(row["goal"])
        out.append(line(x, y - 6, x, y + 6, colour, 2.4))
    out.append('<circle cx="%.1f" cy="%.1f" r="4.5" fill="%s"><title>%s to %s: %.3f</title></circle>'
               % (place(row["ratio"]), y, colour, escape(row["peer"]), escape(row["to"]), row["ratio"]))
    return out


def svg(summary, titles, heading):
    """`titles`: what to call each workload. Ratios without a cost (to a direct connection) are not drawn."""
    rows = [row for row in summary["ratios"] if row["ratio"]]
    names = list(dict.fromkeys(row["workload"] for row in rows))
    several = len({row["peer"] for row in rows}) > 1
    label = lambda row: "%s to %s" % (row["peer"], row["to"]) if several else "to " + row["to"]
    labels = list(dict.fromkeys(label(row) for row in rows))
    series = {name: COLOURS[at % len(COLOURS)] for at, name in enumerate(labels)}
    marked, top = legend(series)
    top += 32
    height = max(ROW, 11 * len(labels) + 10)
    bottom = top + height * max(1, len(names))
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" '
           'font-family="DejaVu Sans, Helvetica, sans-serif">' % ((LEFT + WIDTH + 30, bottom + 46) * 2),
           '<rect width="100%" height="100%" fill="#fff"/>', text(16, 26, heading, size=16, weight="bold")]
    if rows:
        low, high, place = scale(rows)
        out += marked + axis(low, high, place, top, bottom)
        for at, name in enumerate(names):
            middle = top + height * at + height / 2
            if at % 2 == 0:
                out.insert(2, '<rect x="0" y="%.1f" width="100%%" height="%.1f" fill="#f6f8fa"/>'
                           % (middle - height / 2, height))
            out.append(text(LEFT - 12, middle + 4, titles.get(name, name), "end", 12))
            mine = [row for row in rows if row["workload"] == name]
            for row in mine:
                offset = (labels.index(label(row)) - (len(labels) - 1) / 2) * 11
                out += marks(row, place, middle + offset, series[label(row)])
        out.append(text(LEFT + WIDTH / 2, bottom + 36, "pgweir's cost divided by the peer's: left of 1 is better",
                        "middle", 12, "#555"))
    return "\n".join(out) + "\n</svg>\n"
