"""A service as a dependency that returns, or as one that yields: both are one for a request."""

from collections.abc import Iterator

from perfkit.claims import Experiment, Metric, Operation
from restmachine import Request, RestApplication

experiment = Experiment(
    theme="dependencies",
    claims=["O-111"],
    question="Does a dependency that yields reuse a service where one that returns does not?",
    hypothesis="A service that is yielded is made once for all of a request, rather than anew.",
    metric=Metric("services made", "services", "count"),
    advice="Use yield where something has to be cleared up, and return otherwise. Either way all "
    "functions of a request share the one.",
    conditions="One request, in which three functions ask for the service; beside, each makes "
    "its own.",
)


class Service:
    """Counts how many there are of it."""

    made = 0

    def __init__(self) -> None:
        Service.made += 1


@experiment.before
def returned() -> Operation:
    """Returns a new service."""
    app = RestApplication()
    app.dependency(name="service")(lambda: Service())
    return asked_for_by_three(app)


@experiment.after
def yielded() -> Operation:
    """Yields a service, to clear up afterwards."""
    app = RestApplication()

    @app.dependency()
    def service() -> Iterator[Service]:
        yield Service()

    return asked_for_by_three(app)


@experiment.beside
def made_by_each() -> Operation:
    """Makes a service wherever one is needed."""
    app = RestApplication()
    app.dependency(name="price")(lambda: id(Service()))
    app.dependency(name="stock")(lambda: id(Service()))
    app.get("/")(lambda price, stock: [price, stock, id(Service())])
    return lambda: services_of_one_request(app)


def asked_for_by_three(app: RestApplication) -> Operation:
    """Return what lets two dependencies and the handler ask for the service."""
    app.dependency(name="price")(lambda service: id(service))
    app.dependency(name="stock")(lambda service: id(service))
    app.get("/")(lambda price, stock, service: [price, stock, id(service)])
    return lambda: services_of_one_request(app)


def services_of_one_request(app: RestApplication) -> int:
    """Answer one request and return how many services that made."""
    Service.made = 0
    assert app.execute(Request("GET", "/")).status_code == 200
    return Service.made
