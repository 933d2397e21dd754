"""Async: a client made at startup, and dependencies that wait for several answers together.

Start it with ``python -m restmachine serve examples.journey:asgi_app``. Sync and async
functions mix; what is async runs on the event loop that made the client.
"""

import asyncio
from typing import Any, TypeVar

from restmachine import ASGIAdapter, NotFound, RestApplication

app = RestApplication()
asgi_app = ASGIAdapter(app)

Answer = TypeVar("Answer")

LINES = {"coast": ["Port", "Cliff", "Bay"], "hills": ["Valley", "Pass", "Summit"]}


class Timetable:
    """Stands for a service far away, which takes its time for each question.

    Like a connection, it works on one event loop only: the one that made it.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.waiting = self.most_waiting = 0
        self.closed = False

    async def stops(self, line: str) -> list[str]:
        """Return the stops of a line."""
        return await self._answer(LINES.get(line, []))

    async def delay(self, line: str) -> int:
        """Return the minutes by which a line is late."""
        return await self._answer(len(line) % 4)

    async def close(self) -> None:
        """Answer no more."""
        self.closed = True

    async def _answer(self, answer: Answer) -> Answer:
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("this client belongs to another event loop")
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        await asyncio.sleep(0.01)
        self.waiting -= 1
        return answer


@app.on_startup
async def timetable() -> Timetable:
    """Connect once."""
    return Timetable()


@app.on_shutdown
async def close_timetable(timetable: Timetable) -> None:
    """Leave in good order."""
    await timetable.close()


@app.dependency()
async def line_today(timetable: Timetable, line: str) -> dict[str, Any]:
    """Ask for the stops and the delay of a line at the same time."""
    stops, delay = await asyncio.gather(timetable.stops(line), timetable.delay(line))
    if not stops:
        raise NotFound
    return {"stops": stops, "minutes_late": delay}


@app.get("/lines/{line}")
async def read_line(line_today: dict[str, Any]) -> dict[str, Any]:
    """Answer without a worker thread."""
    return line_today


@app.get("/lines/{line}/notice")
def read_notice(line: str, line_today: dict[str, Any]) -> dict[str, str]:
    """Use from a sync function what an async one found."""
    return {"notice": f"The {line} line is late by {line_today['minutes_late']} min."}


@app.get("/busiest")
def read_busiest(timetable: Timetable) -> dict[str, int]:
    """Tell how many questions were under way together."""
    return {"most_waiting": timetable.most_waiting}
