"""An application whose costs are known, to be profiled."""

import asyncio
import sys
import time

from restmachine import ASGIAdapter, Request, RestApplication

app = RestApplication()


def burn_cpu():
    return sum(number * number for number in range(30_000))


def other_work():
    return sum(number + number for number in range(30_000))


@app.dependency()
def current_user(request: Request):
    time.sleep(0.004)
    return "ada"


@app.resource_exists
def item(request: Request):
    other_work()
    return {"id": request.path_params["item_id"]}


@app.get("/items/{item_id}")
def read_item(item, current_user):
    burn_cpu()
    return {"owner": current_user, **item}


@app.get("/others")
def read_others():
    return {"sum": other_work()}


@app.get("/sleepers")
async def read_sleepers():
    await asyncio.sleep(0.02)
    return {"slept": True}


@app.get("/blobs")
def read_blobs():
    return {"size": len(bytearray(1_000_000))}


@app.get("/failures")
def read_failures():
    raise RuntimeError


@app.get("/hooks")
def read_hooks():
    return {"hooked": sys.getprofile() is not None}


asgi_app = ASGIAdapter(app)
