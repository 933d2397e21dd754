"""Write a post and look at it."""

from __future__ import annotations

from locust import task

from loadtests.visitor import Visitor, expect


class Create(Visitor):
    """Creates posts, and reads each back from where the answer says it is."""

    scenario = "create"
    weight = 1

    @task
    def post(self) -> None:
        """Create a post, then read it."""
        number = self.random.randrange(10**9)
        post = {
            "author_id": self.random.randint(1, self.population.users),
            "title": f"Observation {number}",
            "content": "What was seen, and when. " * self.random.randint(1, 40),
        }
        with self.ask("POST", "/posts", send=post, status=201) as answer:
            location = answer.field("Location")
            post_id = int(location.removeprefix("/posts/"))
        with self.ask("GET", "/posts/{post_id}", {"post_id": post_id}) as answer:
            stored = answer.json()
            expect(stored["title"] == post["title"], "another title than was sent")
            expect(stored["content"] == post["content"], "another content than was sent")
            expect(stored["author"]["id"] == post["author_id"], "another author than was sent")
