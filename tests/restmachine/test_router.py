import pytest

from restmachine import ConfigurationWarning, HTTPMethod, RestApplication
from restmachine.errors import ConfigurationError, DuplicateDependencyError
from restmachine.router import Router, normalize_path
from restmachine.testing import TestClient


def users_router() -> Router:
    router = Router()

    @router.get("/")
    async def list_users():
        return ["ada"]

    @router.get("/{user_id}")
    async def read_user(user_id):
        return {"id": user_id}

    return router


@pytest.mark.parametrize(
    ("prefix", "path", "joined"),
    [
        ("/api/", "users", "/api/users"),
        ("/", "/", "/"),
        ("", "", "/"),
        ("/users", "/{id}", "/users/{id}"),
        ("/users", "/", "/users/"),
        ("/users", "", "/users"),
        ("api//v1", "//users", "/api/v1/users"),
    ],
)
def test_prefix_and_path_are_joined_with_one_slash(prefix: str, path: str, joined: str) -> None:
    assert normalize_path(prefix, path) == joined


@pytest.mark.parametrize("path", ["/users", "/users/"])
def test_root_of_a_router_is_served_with_and_without_a_slash(path: str) -> None:
    app = RestApplication()
    app.mount("/users", users_router())

    assert TestClient(app).get(path).json() == ["ada"]


def test_routers_mount_on_routers_to_any_depth() -> None:
    app, api, version = RestApplication(), Router(), Router()
    version.mount("/users", users_router())
    api.mount("/v1", version)
    app.mount("/api", api)

    assert TestClient(app).get("/api/v1/users/7").json() == {"id": "7"}


def test_prefix_parameters_reach_the_handlers_below() -> None:
    app, posts = RestApplication(), Router()
    app.mount("/users/{user_id}/posts", posts)

    @posts.get("/{post_id}")
    async def read(user_id: int, post_id):
        return [user_id, post_id]

    assert TestClient(app).get("/users/7/posts/x").json() == [7, "x"]


def test_route_added_after_mounting_and_serving_works() -> None:
    app, inner, outer = RestApplication(), Router(), Router()
    outer.mount("/inner", inner)
    app.mount("/outer", outer)
    client = TestClient(app)
    assert client.get("/outer/inner/late").status == 404

    @inner.get("/late")
    async def late():
        return "here"

    assert client.get("/outer/inner/late").status == 200


def test_one_router_may_be_mounted_at_two_places() -> None:
    app, router = RestApplication(), users_router()
    app.mount("/users", router)
    app.mount("/people", router)
    client = TestClient(app)

    assert client.get("/users/1").json() == client.get("/people/1").json() == {"id": "1"}


def test_what_a_router_registered_reaches_the_application() -> None:
    app, router = RestApplication(), Router()

    @router.dependency()
    async def greeting():
        return "hello"

    app.mount("/", router)

    @app.get("/")
    async def greet(greeting):
        return {"greeting": greeting}

    assert TestClient(app).get("/").json() == {"greeting": "hello"}


def test_dependency_of_the_application_reaches_a_router() -> None:
    app, router = RestApplication(), Router()
    app.mount("/", router)

    @router.get("/")
    async def greet(greeting):
        return {"greeting": greeting}

    @app.dependency()
    async def greeting():
        return "hello"

    assert TestClient(app).get("/").json() == {"greeting": "hello"}


def test_dependency_of_the_application_replaces_one_of_a_router() -> None:
    app, router = RestApplication(), Router()
    app.mount("/", router)

    @router.dependency(name="source")
    async def real():
        return "real"

    @app.dependency(name="source")
    async def stand_in():
        return "stand-in"

    @router.get("/")
    async def read(source):
        return {"source": source}

    assert TestClient(app).get("/").json() == {"source": "stand-in"}


def test_two_routers_must_not_mean_different_things_by_one_name() -> None:
    app, one, other = RestApplication(), Router(), Router()
    app.mount("/one", one)
    app.mount("/other", other)
    one.dependency(name="user")(lambda: "ada")
    other.dependency(name="user")(lambda: "bob")

    with pytest.raises(DuplicateDependencyError, match='Two routers each register "user"'):
        app.startup_sync()


def test_override_replaces_a_dependency_of_a_mounted_router_for_a_while() -> None:
    app, router = RestApplication(), Router()
    app.mount("/", router)

    @router.dependency()
    async def source():
        return "real"

    @router.get("/")
    async def read(source):
        return {"source": source}

    client = TestClient(app)
    with app.dependency_overrides(source=lambda: "stand-in"):
        overridden = client.get("/").json()

    assert overridden == {"source": "stand-in"}
    assert client.get("/").json() == {"source": "real"}


def test_attached_router_hands_over_dependencies_but_no_routes() -> None:
    app = RestApplication()
    router = Router(app)

    @router.dependency()
    async def greeting():
        return "hello"

    @router.get("/lost")
    async def lost():
        return "not mounted"

    @app.get("/")
    async def greet(greeting):
        return {"greeting": greeting}

    client = TestClient(app)
    assert client.get("/").json() == {"greeting": "hello"}
    assert client.get("/lost").status == 404


def test_callback_of_a_router_decides_for_its_routes() -> None:
    app, router = RestApplication(), Router()
    app.mount("/items", router)

    @router.resource_exists
    async def item(item_id):
        return {"id": item_id} if item_id == "1" else None

    @router.get("/{item_id}")
    async def read(item):
        return item

    client = TestClient(app)
    assert client.get("/items/1").status == 200
    assert client.get("/items/2").status == 404


def test_default_callback_of_a_router_holds_at_and_below_its_prefix_only() -> None:
    app, router = RestApplication(), Router()
    app.mount("/api", router)

    @router.default_authorized
    async def token(request_headers):
        return request_headers.get("Authorization")

    @router.get("/inside")
    async def inside():
        return "inside"

    @app.get("/apix")
    async def beside():
        return "beside"

    client = TestClient(app)
    assert client.get("/api/inside").status == 401
    assert client.get("/api/inside", headers={"Authorization": "Bearer x"}).status == 200
    assert client.get("/apix").status == 200


def test_defaults_of_outer_and_inner_routers_are_all_asked() -> None:
    app, router = RestApplication(), Router()
    app.mount("/api", router)
    app.default_service_available(lambda: False)
    router.default_service_available(lambda: True)
    router.get("/")(lambda: "up")

    assert TestClient(app).get("/api").status == 503


def test_startup_function_of_a_router_runs_when_the_application_starts() -> None:
    app, router = RestApplication(), Router()
    order = []
    app.mount("/", router)

    @router.on_startup
    async def inner():
        order.append("inner")

    @router.on_shutdown
    async def stop():
        order.append("stop")

    @app.on_startup
    async def outer():
        order.append("outer")

    with TestClient(app):
        pass

    assert order == ["outer", "inner", "stop"]


def test_listed_paths_are_full_and_their_routes_as_declared() -> None:
    router = Router()
    router.mount("/users", users_router())

    listed = [(path, route.method, route.path) for path, route in router.get_all_routes("/api")]

    assert listed == [
        ("/api/users/", HTTPMethod.GET, "/"),
        ("/api/users/{user_id}", HTTPMethod.GET, "/{user_id}"),
    ]


def test_router_without_an_application_matches_paths() -> None:
    router = Router()
    router.mount("/users", users_router())

    found = router.match_route("/users/7", HTTPMethod.GET)

    assert found is not None
    route, parameters = found
    assert (route.path, parameters) == ("/{user_id}", {"user_id": "7"})
    assert router.match_route("/users/7", "DELETE") is None
    assert router.has_path("/users/7") and not router.has_path("/posts")


def test_methods_of_a_path_are_those_that_work() -> None:
    router = users_router()
    assert router.get_methods_for_path("/7") == ["GET", "HEAD", "OPTIONS"]
    assert router.get_methods_for_path("/7/8") == []

    router.put("/{user_id}")(lambda user_id: None)

    assert router.get_methods_for_path("/7") == ["GET", "HEAD", "OPTIONS", "PUT"]


def test_router_cannot_be_mounted_below_itself() -> None:
    outer, inner = Router(), Router()
    outer.mount("/inner", inner)

    with pytest.raises(ConfigurationError, match="cannot be mounted on itself"):
        inner.mount("/outer", outer)


def test_prefix_with_a_wildcard_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="ends in a wildcard"):
        Router().mount("/files/**", Router())


def test_second_route_that_matches_the_same_paths_warns_and_replaces() -> None:
    app = RestApplication()
    app.get("/items/{item_id}")(lambda item_id: "first")

    with pytest.warns(ConfigurationWarning, match="A second handler for GET /items/{key}"):
        app.get("/items/{key}")(lambda key: {"key": key})

    assert TestClient(app).get("/items/1").json() == {"key": "1"}


def test_same_route_of_two_routers_warns_when_it_is_compiled() -> None:
    app = RestApplication()

    @app.get("/users")
    async def own_users():
        return []

    router = Router()
    router.get("/")(own_users)
    app.mount("/users", router)

    with pytest.warns(ConfigurationWarning, match="A second handler for GET /users replaces"):
        app.startup_sync()


@pytest.mark.parametrize(("method", "status"), [("DELETE", 405), ("OPTIONS", 204), ("HEAD", 200)])
def test_default_callback_gets_path_parameters_where_no_route_names_the_method(
    method: str, status: int
) -> None:
    app = RestApplication()
    seen = []

    @app.default_malformed_request
    async def odd(user_id):
        seen.append(user_id)

    @app.get("/users/{user_id}")
    async def read(user_id):
        return {"id": user_id}

    assert TestClient(app).request(method, "/users/7").status == status
    assert seen == ([] if status == 405 else ["7"])
