"""What every peer answers with, and the model by which every peer validates."""

from pydantic import BaseModel

MESSAGE = {"message": "hi!"}
ETAG = '"1"'
ARTICLE = {"version": 1}
ITEMS = [
    {"id": number, "name": f"item {number}", "tags": ["a", "b", "c"], "text": "x" * 130}
    for number in range(100)
]


class NewUser(BaseModel):
    """What a client sends to create a user."""

    name: str
    email: str
    age: int


def functions(depth):
    """Return functions of a chain: each takes the result of the one before, by its name."""
    names = {"__name__": __name__}
    exec("async def level0() -> int: return 0", names)
    for number in range(1, depth + 1):
        below = f"level{number - 1}"
        exec(f"async def level{number}({below}: int) -> int: return {below} + 1", names)
    exec(
        f"async def root(level{depth}: int) -> dict[str, int]: return {{'depth': level{depth}}}",
        names,
    )
    return names["root"], [names[f"level{number}"] for number in range(depth + 1)]
