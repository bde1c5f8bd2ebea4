"""Find the real programs that end-to-end tests start.

A contributor's machine may lack them; such a test is then skipped with a clear reason. CI sets HUB_TEST_NO_SKIP=1,
which makes a missing program a failure.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

# Debian installs PostgreSQL's server programs outside PATH.
_EXTRA_PATHS = [
    "/usr/sbin",
    "/sbin",
    *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True),
]

RECORDINGS = Path(__file__).resolve().parents[2].parent / "shared" / "recordings"


def require(name: str) -> str:
    """Return the path of the program; skip the test if it isn't installed (fail under HUB_TEST_NO_SKIP=1)."""
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *_EXTRA_PATHS]))
    if path is None:
        _missing(f"{name} is not installed; .ci/run installs everything that the whole suite needs")
    return path


def install_npm_packages(folder: Path) -> Path:
    """Install the packages in the folder's lock file, once; return `node_modules`. Skip or fail as require() does."""
    npm = require("npm")
    packages = folder / "node_modules"
    locked = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    stamp = packages / ".installed"
    if not stamp.exists() or stamp.read_text() != locked:
        command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            _missing(f"npm could not install the packages of {folder}: {done.stderr[-300:]}")
        stamp.write_text(locked)
    return packages


def require_recordings() -> Path:
    """Return the folder of recorded responses; skip if it is missing, even in CI, which can't install it."""
    if not RECORDINGS.is_dir():
        pytest.skip(f"{RECORDINGS} is not there; the recorded responses live beside the checkout")
    return RECORDINGS


def _missing(reason: str) -> NoReturn:
    if os.environ.get("HUB_TEST_NO_SKIP") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
