"""Scenarios against the toy service."""

from locust import HttpUser, task

from perfkit.openloop import OpenLoopUser


class Read(OpenLoopUser):
    scenario = "read"

    @task
    def read(self):
        self.client.get("/items/1", name="GET /items/{id}")


class Slow(OpenLoopUser):
    @task
    def wait(self):
        self.client.get("/slow", name="GET /slow")


class Fail(OpenLoopUser):
    @task
    def fail(self):
        self.client.get("/broken", name="GET /broken")


class Hang(OpenLoopUser):
    @task
    def wait_in_vain(self):
        self.client.get("/hang", name="GET /hang")


class Fatal(OpenLoopUser):
    @task
    def kill(self):
        self.client.get("/fatal", name="GET /fatal")


class Closed(HttpUser):
    @task
    def read(self):
        self.client.get("/items/1", name="GET /items/{id}")
