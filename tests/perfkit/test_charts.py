from typing import Any
from xml.etree import ElementTree

from perfkit.charts import draw
from perfkit.comparison import kept
from perfkit.turns import Round, Samples

SAMPLES: Samples = {
    "small": [{peer: [Round(1e-6, False, 1e-6)] for peer in ("raw", "restmachine", "falcon")}]
}
DOCUMENT: dict[str, Any] = {
    "peers": dict.fromkeys(("null", "raw", "restmachine", "falcon")),
    "rows": [{"name": "small", "title": "small JSON"}, {"name": "list", "title": "a list"}],
    "process": kept(SAMPLES),
    "curve_titles": {"routes": "number of routes"},
    "curves": {"routes": {"restmachine": {"10": {"seconds": 2e-6}, "100": {"seconds": 3e-6}}}},
}


def text_of(svg: str) -> str:
    return " ".join(ElementTree.fromstring(svg).itertext())


def test_what_was_measured_is_drawn_and_nothing_else() -> None:
    assert sorted(draw(DOCUMENT)) == ["peers-process.svg", "peers-routes.svg"]


def test_a_chart_names_rows_and_peers() -> None:
    text = text_of(draw(DOCUMENT)["peers-process.svg"])

    assert "small JSON" in text
    assert "falcon" in text
    assert "a list" not in text


def test_a_chart_is_the_same_each_time() -> None:
    assert draw(DOCUMENT) == draw(DOCUMENT)
