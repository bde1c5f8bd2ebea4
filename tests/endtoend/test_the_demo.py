"""`make run` from an empty folder to Ctrl-C, as a new user experiences it."""

import json
import shlex
import subprocess
from pathlib import Path

import psutil
import pytest
import requests

from tests.support import programs
from tests.support.run_command import ROOT, Running, printed, samples, value
from tests.support.servers import wait_for

pytestmark = pytest.mark.e2e


def promtool_finds_nothing(text: str) -> bool:
    done = subprocess.run(
        [programs.require("promtool"), "check", "metrics"], input=text, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return True


def test_the_demo_runs_is_scraped_with_the_printed_line_ends_with_ctrl_c_and_keeps_what_was_edited(
    tmp_path: Path,
) -> None:
    programs.require("curl")
    with Running(tmp_path / "data", "--demo") as hub:
        curl = next(line.strip() for line in hub.said.splitlines() if line.strip().startswith("curl "))
        command = shlex.split(curl)
        text = subprocess.check_output([*command, "--silent", "--fail"], text=True)
        first = samples(text)
        assert value(first, "servicebus_up") == 1
        assert len(first) >= 6_401
        assert promtool_finds_nothing(text)

        token = command[2].removeprefix("Authorization: Bearer ")
        counts = {key: number for key, number in first.items() if key[0].endswith("_active_messages")}

        def moved() -> bool:
            now = hub.scrape("demo-large", token)
            return any(now[key] != number for key, number in counts.items())

        wait_for(moved, "counts move", 60)

        status, text = hub.get("/metrics/demo-wrong-key", token)
        wrong = samples(text)
        assert status == 200
        assert value(wrong, "servicebus_up") == 0
        assert value(wrong, "servicebus_scrape_error", reason="unauthorized") == 1
        assert promtool_finds_nothing(text)
        assert promtool_finds_nothing(hub.get("/metrics/demo-small", token)[1])
        assert promtool_finds_nothing(hub.get("/metrics", token)[1])

        pause_in_the_admin(hub, "demo-small", printed(hub.said, "Password"))
        wait_for(lambda: hub.get("/metrics/demo-small", token)[0] == 404, "it is paused", 30)

        second = subprocess.run(
            [*hub.process.args], cwd=ROOT, env=hub.environment, capture_output=True, text=True
        )
        assert second.returncode != 0
        assert f"Port {hub.port} is in use" in second.stderr
        assert "Traceback" not in second.stderr

        assert len(hub.parts) >= 3  # the simulator, gunicorn, its workers
        hub.interrupt()
        assert psutil.wait_procs(hub.parts, timeout=30)[1] == []
        assert "Traceback" not in hub.said

    with Running(tmp_path / "data", "--demo") as hub:
        assert hub.get("/metrics/demo-small", token)[0] == 404
        assert value(hub.scrape("demo-large", token), "servicebus_up") == 1


def pause_in_the_admin(hub: Running, name: str, password: str) -> None:
    """Sign in with the printed password and edit the namespace's form."""
    base = printed(hub.said, "Admin").rstrip("/")
    with requests.Session() as browser:
        page = browser.get(f"{base}/login/", timeout=60)
        form = {"username": "admin", "password": password, "next": "/admin/"}
        form["csrfmiddlewaretoken"] = browser.cookies["csrftoken"]
        page = browser.post(f"{base}/login/", form, timeout=60, headers={"Referer": page.url})
        assert page.url == f"{base}/", page.text
        listed = browser.get(f"{base}/exporters/namespace/", params={"q": name}, timeout=60).text
        key = listed.partition('name="_selected_action" value="')[2].partition('"')[0]
        done = browser.post(
            f"{base}/exporters/namespace/",
            {
                "csrfmiddlewaretoken": browser.cookies["csrftoken"],
                "action": "pause",
                "_selected_action": key,
            },
            timeout=60,
            headers={"Referer": f"{base}/exporters/namespace/"},
        )
        assert done.ok, done.text


def test_an_unknown_configuration_file_stops_the_start_with_its_name(tmp_path: Path) -> None:
    hub = Running(tmp_path / "data", variables={"HUB_CONFIG": str(tmp_path / "missing.yaml")})
    hub.process.wait(120)
    assert hub.process.returncode != 0
    assert "missing.yaml" in hub.said
    assert "Traceback" not in hub.said


def test_ready_is_plain_json_on_an_empty_hub(tmp_path: Path) -> None:
    with Running(tmp_path / "data", variables={"HUB_ADMIN_PASSWORD": "a password of one's own"}) as hub:
        status, text = hub.get("/-/ready")
        assert status == 200
        assert json.loads(text)["ready"] is True
        assert "curl" not in hub.said
        assert "a password of one's own" not in hub.said
        pages = [hub.get(path)[0] for path in ("/", "/-/healthy", "/admin/login/", "/metrics/any")]
        assert pages == [200, 200, 200, 401]
