"""All scenarios, for Locust: ``locust -f loadtests/locustfile.py``, which `make loadtest` runs."""

from loadtests.scenarios.browse import Browse
from loadtests.scenarios.create import Create
from loadtests.scenarios.read import Read
from loadtests.scenarios.revalidate import Revalidate

__all__ = ["Browse", "Create", "Read", "Revalidate"]
