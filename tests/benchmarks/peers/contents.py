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
