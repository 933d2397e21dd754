"""What a client may send, checked before it comes near the database."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from loadtests.database import LARGEST_ID

# PostgreSQL stores every character but NUL.
STORABLE = r"^[^\x00]*$"
Line = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=STORABLE)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=10_000, pattern=STORABLE)]


class Content(BaseModel):
    """Base of all: no conversions, no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True)


class PostContent(Content):
    """What can change about a post."""

    title: Line
    content: Text


class NewPost(PostContent):
    """A post to be created."""

    author_id: int = Field(ge=1, le=LARGEST_ID)


class ProductContent(Content):
    """What can change about a product."""

    name: Line
    description: Text
    price_cents: int = Field(ge=0, le=LARGEST_ID)
