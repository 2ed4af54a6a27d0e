"""The plot: well-formed, everything on it, nothing beside it."""

import xml.etree.ElementTree as xml

import plot

SVG = "{http://www.w3.org/2000/svg}"


def row(workload, to, ratio, goal=None, peer="plain"):
    return {"workload": workload, "peer": peer, "to": to, "ratio": ratio, "low": ratio and ratio * 0.9,
            "high": ratio and ratio * 1.2, "goal": goal}


def draw(*rows, **titles):
    return xml.fromstring(plot.svg({"ratios": list(rows)}, titles, "heading <&>"))


def dots(root):
    return [one for one in root.iter(SVG + "circle") if one.find(SVG + "title") is not None]


def words(root):
    return [one.text for one in root.iter(SVG + "text")]


def test_dots_and_names():
    root = draw(row("a", "pgbouncer", 0.5, 0.6), row("a", "haproxy", 2.0), row("b", "pgbouncer", 1.1), a="first", b="second")
    assert len(dots(root)) == 3
    assert {"heading <&>", "first", "second", "to pgbouncer", "to haproxy"} <= set(words(root))


def test_smaller_is_further_left_and_half_as_far_as_double():
    root = draw(row("a", "x", 0.5), row("b", "x", 1.0), row("c", "x", 2.0))
    half, one, double = (float(dot.get("cx")) for dot in dots(root))
    assert half < one < double
    assert abs((one - half) - (double - one)) < 0.2


def test_everything_lies_within_the_picture():
    root = draw(*(row("w%d" % at, "peer-%d" % (at % 5), 0.01 * 3 ** (at % 8), 0.2, "variant-%d" % (at % 2)) for at in range(40)))
    width, height = float(root.get("width")), float(root.get("height"))
    for dot in dots(root):
        assert plot.LEFT <= float(dot.get("cx")) <= width and 0 < float(dot.get("cy")) <= height
    for one in root.iter(SVG + "text"):
        wide = 0.5 * float(one.get("font-size")) * len(one.text)
        left = float(one.get("x")) - wide * {"start": 0, "middle": 0.5, "end": 1}[one.get("text-anchor")]
        assert left >= 0 and left + wide <= width, one.text


def test_variants_are_told_apart():
    root = draw(row("a", "x", 0.5), row("a", "x", 0.4, peer="batched"))
    assert {"plain to x", "batched to x"} <= set(words(root))
    assert len({dot.get("fill") for dot in dots(root)}) == 2


def test_without_a_cost_there_is_no_dot():
    assert dots(draw(row("a", "direct", None), row("a", "x", 0.5)))[0].find(SVG + "title").text == "plain to x: 0.500"


def test_nothing_to_draw():
    assert dots(draw()) == []
