"""`check --deploy` reports nothing for a hub set up as docs/configuration.md describes."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_hub_behind_https_with_its_own_keys_passes_without_a_warning(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")} | {
        "HUB_DATA_DIR": str(tmp_path),
        "HUB_SECRET_KEY": "".join(map(chr, range(33, 127))),
        "HUB_ENCRYPTION_KEYS": "A" * 43 + "=",
        "HUB_EXTERNAL_URL": "https://hub.example.org",
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
