"""Response policies: who may read answers, and what pages may load.

Start it with ``python -m restmachine serve examples.policies:asgi_app``. The theatre's own site
sells the seats, any page may show the programme, and the stage door is for nobody else. No handler
mentions an origin: preflights are answered, and every answer, errors too, says what it must.
"""

from html import escape
from typing import Any

from restmachine import (
    ASGIAdapter,
    CSPConfig,
    CSPPreset,
    NotFound,
    Request,
    RestApplication,
    Router,
)

SITE = "https://tickets.theatre.example"
PLAYS = {"hamlet": 12, "faust": 0}

app = RestApplication()
asgi_app = ASGIAdapter(app)

# What holds for all that says nothing else: the answers are data, and no page at all.
app.csp(preset=CSPPreset.STRICT)


@app.get("/plays")
@app.cors("*", expose_headers=[])
def programme() -> list[str]:
    """List the plays, for every page that wants to show them."""
    return sorted(PLAYS)


seats = Router()
# Cookies tell who buys, so the site is named: "*" would let every page buy in its visitor's name.
seats.cors(SITE, credentials=True, allow_headers=["Content-Type"], max_age=600)


@seats.get("/{play}")
def free(play: str) -> dict[str, int]:
    """Tell how many seats are free."""
    if play not in PLAYS:
        raise NotFound("no such play")
    return {"free": PLAYS[play]}


@seats.put("/{play}")
def book(play: str, json_body: dict[str, int]) -> dict[str, int]:
    """Book some seats."""
    PLAYS[play] -= json_body["seats"]
    return free(play)


app.mount("/seats", seats)


@app.get("/stage-door")
def stage_door() -> dict[str, str]:
    """Tell the code of the day; pages of other origins cannot read it."""
    return {"code": "mousetrap"}


pages = Router()
pages.csp(
    script_src=["self"], style_src=["self"], img_src=["self", "data:"], nonce=True, base_uri=[]
)


@pages.content_renderer("text/html")
def as_page(data: dict[str, Any], request: Request) -> str:
    """Write a page whose one script the policy lets run, and no other that found its way in."""
    return (
        f"<!doctype html><title>{escape(data['title'])}</title>"
        f'<script nonce="{request.csp_nonce}">console.log("curtain up")</script>'
    )


@pages.get("/{play}")
def page(play: str) -> dict[str, str]:
    """Show a play to people."""
    return {"title": play}


app.mount("/pages", pages)


previews = Router()


@previews.csp_provider
def by_stage(request: Request) -> CSPConfig | None:
    """Let a preview of the big stage show its film; the others have the usual policy."""
    if request.path.endswith("/big"):
        return CSPConfig(media_src=["https://films.theatre.example"], default_src=["self"])
    return None


@previews.get("/{stage}")
def preview(stage: str) -> dict[str, str]:
    """Tell what is on a stage tonight."""
    return {"stage": stage}


app.mount("/previews", previews)
