"""Come back to the same few pages, as a client with a cache of its own does."""

from __future__ import annotations

from locust import task
from locust.env import Environment

from loadtests.visitor import Visitor, expect

FAVOURITES = 10


class Revalidate(Visitor):
    """Rereads favourites, on condition that they have changed: which they have not."""

    scenario = "revalidate"
    weight = 2

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        choose = self.random.randint
        self.favourites = [
            *(
                ("/posts/{post_id}", {"post_id": choose(1, self.population.posts)})
                for _ in range(FAVOURITES)
            ),
            *(
                ("/users/{user_id}", {"user_id": choose(1, self.population.users)})
                for _ in range(FAVOURITES)
            ),
        ]
        self.tags: dict[int, str] = {}

    @task
    def favourite(self) -> None:
        """Read a favourite: in full the first time, then only whether it has changed."""
        chosen = self.random.randrange(len(self.favourites))
        template, identifiers = self.favourites[chosen]
        if chosen in self.tags:
            self.reread(template, identifiers, self.tags[chosen])
            return
        with self.ask("GET", template, identifiers) as answer:
            expect(answer.json()["id"] in identifiers.values(), "another one than asked for")
            self.tags[chosen] = answer.field("ETag")

    def reread(self, template: str, identifiers: dict[str, int], tag: str) -> None:
        """Ask for what is known already."""
        condition = {"If-None-Match": tag}
        with self.ask("GET", template, identifiers, headers=condition, status=304) as answer:
            expect(not answer.content, "content in a 304")
            expect(answer.field("ETag") == tag, "a 304 without the tag it confirms")
