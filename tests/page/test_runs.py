"""Every block of the page executes unchanged, starts, answers and ends without a complaint."""

import pytest
from servings import Served

pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")


def test_block_runs(served: Served) -> None:
    bodies = {"POST": {"name": "Eve", "email": "eve@example.org"}}

    statuses = [
        served.ask(f"{method} {template.replace('{user_id}', '7')}", json=bodies.get(method)).status
        for method, template in served.block.routes
    ]
    unknown = served.ask("GET /nowhere").status

    assert set(statuses) <= {200, 201}
    assert unknown == 404
    assert served.end() == ""
