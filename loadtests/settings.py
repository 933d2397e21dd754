"""Where the application finds its services, and how much data it holds by default."""

from __future__ import annotations

import os
from dataclasses import dataclass

from perfkit.services import POSTGRES_VARIABLE, REDIS_VARIABLE


class MissingSettingError(Exception):
    """A variable which names a service is not set."""

    def __init__(self, variable: str) -> None:
        super().__init__(
            f"{variable} is not set: run `make loadtest`, which starts the services, "
            "or set it to the address of a server of yours"
        )


@dataclass(frozen=True)
class Settings:
    """The addresses of the two services, as URLs."""

    postgres_url: str
    redis_url: str

    @classmethod
    def from_environment(cls) -> Settings:
        """Read both addresses.

        Raises:
            MissingSettingError: One of them is unset or empty.
        """
        for variable in (POSTGRES_VARIABLE, REDIS_VARIABLE):
            if not os.environ.get(variable):
                raise MissingSettingError(variable)
        return cls(os.environ[POSTGRES_VARIABLE], os.environ[REDIS_VARIABLE])


@dataclass(frozen=True)
class Population:
    """How many rows of each kind the seed writes; ids run from 1 to these."""

    users: int = 10_000
    posts: int = 50_000
    products: int = 2_000
    categories: int = 50
