"""The blocks of code on the performance page, read from where it stands."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[3] / "shared" / "guides" / "restmachine-performance.md"

_PIECE = re.compile(
    r"^#{2,3} (?P<heading>.*?)$|^```(?P<language>\w+)\n(?P<code>.*?)^```", re.M | re.S
)
_ROUTE = re.compile(r"""@app\.(get|post|put|delete)\(\s*['"]([^'"]+)['"]""")
# Where a block that shows two ways comes to the one it advises against.
_SECOND_WAY = re.compile(r"^# (Bad|Less optimal)\b", re.M)


@dataclass(frozen=True)
class Block:
    """One block, as printed.

    Attributes:
        section: The heading it stands under.
        number: Its place among the section's blocks of its language, from 1.
        first_way: Whether this is only the part before "Bad" or "Less optimal".
    """

    section: str
    number: int
    language: str
    code: str
    first_way: bool = False

    def __str__(self) -> str:
        return f"{self.section} {self.number}{', first way' if self.first_way else ''}"

    @property
    def routes(self) -> list[tuple[str, str]]:
        """Method and path template of each route that it declares."""
        return [(method.upper(), path) for method, path in _ROUTE.findall(self.code)]

    @property
    def is_application(self) -> bool:
        """Whether it is part of an application; otherwise it is a server's settings."""
        return self.language == "python" and "worker_class" not in self.code


def read_blocks() -> Iterator[Block]:
    """Yield the Python and TOML blocks, and the first way of those that show two."""
    heading, counts = "", dict[tuple[str, str], int]()
    for piece in _PIECE.finditer(PAGE.read_text(encoding="utf-8")):
        language, code = piece["language"], piece["code"]
        if language is None:
            heading = piece["heading"]
        elif language in ("python", "toml"):
            number = counts[heading, language] = counts.get((heading, language), 0) + 1
            yield Block(heading, number, language, code)
            if second := _SECOND_WAY.search(code):
                yield Block(heading, number, language, code[: second.start()], first_way=True)


BLOCKS = {str(block): block for block in read_blocks()} if PAGE.exists() else {}
"""Every block by its name: heading, number, and perhaps "first way"."""
