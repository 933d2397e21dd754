"""What a content security policy says, and what it refuses to be."""

from __future__ import annotations

from typing import Any

import pytest

from restmachine import ConfigurationError, CSPConfig, CSPPreset, Request, RestApplication
from restmachine.csp import DIRECTIVES
from restmachine.decorators import cache_response

SHA = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


def test_directives_stand_in_the_order_of_the_signature_and_the_report_is_last() -> None:
    config = CSPConfig(report_uri="/r", **{name: ["self"] for name in reversed(DIRECTIVES)})

    assert config.build_header() == "; ".join(
        [*(f"{name.replace('_', '-')} 'self'" for name in DIRECTIVES), "report-uri /r"]
    )


@pytest.mark.parametrize(
    ("source", "sent"),
    [
        *((keyword, f"'{keyword}'") for keyword in ("self", "unsafe-inline", "unsafe-eval")),
        *((keyword, f"'{keyword}'") for keyword in ("none", "strict-dynamic", "unsafe-hashes")),
        *((keyword, f"'{keyword}'") for keyword in ("report-sample", "wasm-unsafe-eval")),
        ("unsafe-allow-redirects", "'unsafe-allow-redirects'"),
        ("SELF", "'self'"),
        ("'self'", "'self'"),
        ("'Unsafe-Inline'", "'unsafe-inline'"),
        ("nonce-c2FmZQ==", "'nonce-c2FmZQ=='"),
        (SHA, f"'{SHA}'"),
        (f"'{SHA}'", f"'{SHA}'"),
        (f"sha384-{'a' * 64}", f"'sha384-{'a' * 64}'"),
        (f"sha512-{'a' * 86}==", f"'sha512-{'a' * 86}=='"),
        *((host, host) for host in ("sha256.example.org", "shares.example", "sha256-host")),
        *((host, host) for host in ("https://a.example/x", "*.example", "data:", "localhost:*")),
        *((host, host) for host in ("shelf", "nones", "node", "https://a.example/it's")),
    ],
)
def test_keywords_nonces_and_hashes_are_quoted_and_nothing_else_is(source: str, sent: str) -> None:
    assert CSPConfig(img_src=[source]).build_header() == f"img-src {sent}"


@pytest.mark.parametrize(
    ("preset", "name", "value"),
    [
        (
            CSPPreset.STRICT,
            "Content-Security-Policy",
            "default-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'",
        ),
        (CSPPreset.BASIC, "Content-Security-Policy", "default-src 'self'"),
        (
            CSPPreset.RELAXED,
            "Content-Security-Policy",
            "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: https:",
        ),
        (
            CSPPreset.DEVELOPMENT,
            "Content-Security-Policy-Report-Only",
            "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
            "style-src 'self' 'unsafe-inline'",
        ),
    ],
)
def test_presets(preset: CSPPreset, name: str, value: str) -> None:
    config = CSPConfig(preset=preset)

    assert (config.header_name(), config.build_header()) == (name, value)


def test_a_directive_goes_before_that_of_the_preset() -> None:
    config = CSPConfig(preset=CSPPreset.STRICT, object_src=["self"], img_src=[])

    assert config.build_header() == (
        "default-src 'self'; img-src 'none'; object-src 'self'; base-uri 'self'; form-action 'self'"
    )


@pytest.mark.parametrize(
    ("config", "value"),
    [
        (
            CSPConfig(script_src=["self"], style_src=["self"], img_src=["self"], nonce=True),
            "script-src 'self' 'nonce-abc'; style-src 'self' 'nonce-abc'; img-src 'self'",
        ),
        (CSPConfig(default_src=["self"], nonce=True), "default-src 'self'"),
        (CSPConfig(script_src=["none"], nonce=True), "script-src 'none'"),
        (CSPConfig(script_src=[], nonce=True), "script-src 'none'"),
        (CSPConfig(script_src=["'NONE'"], nonce=True), "script-src 'none'"),
        (CSPConfig(script_src=["self"]), "script-src 'self'"),
    ],
)
def test_a_nonce_is_allowed_for_scripts_and_styles_that_are_stated(
    config: CSPConfig, value: str
) -> None:
    assert config.build_header("abc") == value


def test_a_function_is_asked_for_each_header() -> None:
    hosts = iter(["https://one.example", "https://two.example"])
    config = CSPConfig(img_src=lambda: [next(hosts)])

    assert [config.build_header(), config.build_header()] == [
        "img-src https://one.example",
        "img-src https://two.example",
    ]
    assert not config.is_constant


@pytest.mark.parametrize("given", ["self", ["a b"], ["x;y"], ["x\r\nSet-Cookie: a=1"], [1], None])
def test_a_function_must_give_a_list_of_sources(given: Any) -> None:
    config = CSPConfig(img_src=lambda: given)

    with pytest.raises(ValueError, match="img_src"):
        config.build_header()


async def later() -> list[str]:
    return ["self"]


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({}, "name a directive"),
        ({"img_src": "self"}, r"such as \['self'\]"),
        ({"img_src": 1}, "give a list of sources"),
        ({"img_src": [1]}, "a source has no spaces"),
        ({"img_src": ["a b"]}, "a source has no spaces"),
        ({"img_src": ["a;b"]}, "a source has no spaces"),
        ({"img_src": ["a,b"]}, "a source has no spaces"),
        ({"img_src": [""]}, "a source has no spaces"),
        ({"img_src": ["https://ä.example"]}, "a source has no spaces"),
        ({"img_src": ["x\r\nSet-Cookie: a=1"]}, "a source has no spaces"),
        ({"script_src": ["unsafe_inline"]}, 'did you mean "unsafe-inline"'),
        ({"script_src": ["'unsafe-inlin'"]}, 'did you mean "unsafe-inline"'),
        ({"script_src": ["selfs"]}, 'did you mean "self"'),
        ({"script_src": ["'shelf'"]}, 'did you mean "self"'),
        ({"script_src": ["slef"]}, 'did you mean "self"'),
        ({"script_src": ["'self"]}, "quotes are single ones around the whole"),
        ({"script_src": ["self'"]}, "quotes are single ones around the whole"),
        ({"script_src": ['"self"']}, "quotes are single ones around the whole"),
        ({"script_src": ["'None'", "self"]}, "it stands alone"),
        ({"img_src": ["data"]}, 'did you mean "data:"'),
        ({"img_src": ["https"]}, 'did you mean "https:"'),
        ({"script_src": ["none", "self"]}, "it stands alone"),
        ({"script_src": ["'none'", "self"]}, "it stands alone"),
        ({"script_src": later}, "use a plain function"),
        ({"script_src": lambda request: ["self"]}, "use a plain function without any"),
        ({"nonce": True}, "name a directive"),
        ({"report_only": True}, "name a directive"),
        ({"default_src": ["self"], "nonce": True}, "state one of these"),
        ({"preset": CSPPreset.STRICT, "nonce": True}, "state one of these"),
        ({"report_uri": "/r; script-src *"}, "give a URI"),
        ({"report_uri": "/r\r\nX: 1"}, "give a URI"),
        ({"report_uri": 1}, "give a URI"),
        ({"preset": "strict"}, "CSPPreset.STRICT"),
        ({"nonce": "abc"}, "say True or False"),
        ({"report_only": 1}, "say True or False"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(settings: dict[str, Any], hint: str) -> None:
    app = RestApplication()

    with pytest.raises(ValueError, match=hint) as raised:
        app.csp(**settings)

    assert isinstance(raised.value, ConfigurationError)
    assert "\n" not in str(raised.value)


def test_a_nonce_must_be_one() -> None:
    with pytest.raises(ValueError, match="it must be base64"):
        CSPConfig(script_src=["self"], nonce=True).build_header("a' *; img-src")


@pytest.mark.parametrize(
    "settings",
    [
        {"preset": CSPPreset.DEVELOPMENT, "nonce": True},
        {"style_src": lambda: ["self"], "nonce": True},
        {"report_uri": "/reports"},
    ],
)
def test_what_states_something_is_taken(settings: dict[str, Any]) -> None:
    stated = RestApplication().csp(**settings)

    assert stated.config == CSPConfig(**settings)


def test_a_policy_that_states_nothing_is_no_field() -> None:
    assert CSPConfig().fields() == ()


async def provide_later(request: Request) -> CSPConfig:
    return CSPConfig()


@pytest.mark.parametrize("provider", [provide_later, lambda: None, lambda request, user: None])
def test_a_provider_is_a_plain_function_of_the_request(provider: Any) -> None:
    app = RestApplication()

    with pytest.raises(ConfigurationError, match="plain function of the request alone"):
        app.csp_provider(provider)


def test_an_answer_with_a_nonce_cannot_be_kept_by_the_server() -> None:
    app = RestApplication()
    app.csp(script_src=["self"], nonce=True)
    app.get("/x")(cache_response(max_age=60, server=True)(lambda: {"a": 1}))

    with pytest.raises(ConfigurationError, match=r"GET /x says .* has a nonce of its own"):
        assert app.compiled
