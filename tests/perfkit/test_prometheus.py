"""A real Prometheus scrapes several workers under load; `make prometheus` runs it.

It needs the commands `prometheus` and `promtool`, which Debian's package prometheus brings.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import quote

from perfkit.scrape import fetch
from perfkit.server import choose_port

from .ledger import serving

SECONDS = float(os.environ.get("PROMETHEUS_SECONDS", "60"))
CONFIGURATION = """
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: workers
    static_configs:
      - targets: ["127.0.0.1:{port}"]
"""


def asked(port: int, query: str) -> list[dict[str, object]]:
    """Return what Prometheus answers to a query."""
    answer = fetch(f"http://127.0.0.1:{port}/api/v1/query?query={quote(query)}")
    result: list[dict[str, object]] = json.loads(answer[1])["data"]["result"] if answer else []
    return result


def load(port: int, ended: threading.Event) -> None:
    while not ended.is_set():
        for path in ("/items/1", "/unknown", "/items"):
            fetch(f"http://127.0.0.1:{port}{path}")
        time.sleep(0.01)


def real_prometheus_scrapes_without_an_error(tmp_path: Path) -> None:
    port, ended = choose_port(None), threading.Event()
    with serving(tmp_path) as server:
        deadline = time.monotonic() + 60
        while fetch(f"http://127.0.0.1:{server.port}/items/1") is None:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        (tmp_path / "prometheus.yml").write_text(CONFIGURATION.format(port=server.metrics))
        asking = threading.Thread(target=load, args=(server.port, ended))
        asking.start()
        with (tmp_path / "prometheus.log").open("wb") as log:
            prometheus = subprocess.Popen(
                [
                    "prometheus", f"--config.file={tmp_path / 'prometheus.yml'}",
                    f"--storage.tsdb.path={tmp_path / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log, stderr=log,
            )  # fmt: skip
            time.sleep(SECONDS)
            up = asked(port, f"avg_over_time(up[{SECONDS:.0f}s])")
            scrapes = asked(port, f"count_over_time(up[{SECONDS:.0f}s])")
            rate = asked(port, "sum(rate(http_server_request_duration_seconds_count[10s]))")
            text = fetch(f"http://127.0.0.1:{server.metrics}/metrics")
            ended.set()
            asking.join()
            prometheus.terminate()
            prometheus.wait(30)

    assert [each["value"][1] for each in up] == ["1"]  # type: ignore[index]  # JSON
    assert float(scrapes[0]["value"][1]) > SECONDS * 0.8  # type: ignore[index]  # JSON
    assert float(rate[0]["value"][1]) > 0  # type: ignore[index]  # JSON
    assert text is not None
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text[1], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
