"""Read single users, a few of them most of the time: what a cache is for."""

from __future__ import annotations

from locust import task

from loadtests.visitor import Visitor, expect


class Read(Visitor):
    """Reads one user after another; the user on rank n of popularity 1/n as often as the first."""

    scenario = "read"
    weight = 4

    @task
    def user(self) -> None:
        """Read one user."""
        # Evenly spread exponents make Zipf's law: rank n is as likely as log((n + 1) / n).
        number = int(self.population.users ** self.random.random())
        with self.ask("GET", "/users/{user_id}", {"user_id": number}) as answer:
            expect(answer.json()["id"] == number, "another user than asked for")
            expect(answer.field("X-Cache") in {"HIT", "MISS"}, "no word of the cache")
