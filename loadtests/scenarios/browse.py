"""Look around: open a list, then something that it shows."""

from __future__ import annotations

from typing import Any

from locust import task

from loadtests.visitor import Visitor, expect

PAGE = 20


class Browse(Visitor):
    """Opens lists of users, posts and products, and single ones out of them."""

    scenario = "browse"
    weight = 4

    @task(2)
    def posts(self) -> None:
        """Look at the newest posts and read one."""
        chosen = self.choose_from("posts")
        with self.ask("GET", "/posts/{post_id}", {"post_id": chosen["id"]}) as answer:
            expect(answer.json()["author"] == chosen["author"], "not the author of the list")

    @task(2)
    def products(self) -> None:
        """Look at some products, open one, and go on to others of its category."""
        after = self.random.randrange(self.population.products - PAGE)
        chosen = self.choose_from("products", f"?after={after}")
        with self.ask("GET", "/products/{product_id}", {"product_id": chosen["id"]}) as answer:
            category = answer.json()["category"]["slug"]
        others = self.list("products", f"?category={category}")
        expect(all(each["category"]["slug"] == category for each in others), "wrong category")

    @task(1)
    def users(self) -> None:
        """Look at a page of users and open one."""
        after = self.random.randrange(self.population.users - PAGE)
        chosen = self.choose_from("users", f"?after={after}")
        with self.ask("GET", "/users/{user_id}", {"user_id": chosen["id"]}) as answer:
            expect(answer.json()["email"] == chosen["email"], "not the user of the list")

    def list(self, name: str, query: str = "") -> list[dict[str, Any]]:
        """Open a list and return what it shows."""
        with self.ask("GET", f"/{name}", query=query) as answer:
            listed: list[dict[str, Any]] = answer.json()[name]
            expect(0 < len(listed) <= PAGE, "a list without rows, or with too many")
        return listed

    def choose_from(self, name: str, query: str = "") -> dict[str, Any]:
        """Open a list and choose from it."""
        return self.random.choice(self.list(name, query))
