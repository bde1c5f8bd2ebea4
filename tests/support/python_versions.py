"""`make test-matrix`: run the suite on every newer Python on this machine, with the pinned and the newest Django.

Each combination has its own environment in .venv-matrix/, which is kept for the next run. Arguments are passed on to
pytest.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / ".venv-matrix"
# Installed with pip after the pinned requirements; the pinned Django is the LTS that the hub is released with.
DJANGOS = {"pinned": None, "newest": "Django>=5.2"}


def pythons() -> dict[str, str]:
    """Return the newest patch release of each Python newer than the one running this: version -> path."""
    candidates = [path for minor in range(12, 30) if (path := shutil.which(f"python3.{minor}"))]
    candidates += map(str, (Path.home() / ".pyenv/versions").glob("3.*/bin/python3"))
    found: dict[tuple[int, ...], tuple[tuple[int, ...], str]] = {}
    for path in candidates:
        answer = subprocess.run(
            [path, "-c", "import sys; print(list(sys.version_info[:3]))"],
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode:
            continue
        version = tuple(json.loads(answer.stdout))
        if version[:2] > sys.version_info[:2]:
            found[version[:2]] = max(found.get(version[:2], ((0,), "")), (version, path))
    return {".".join(map(str, version)): path for version, path in sorted(found.values())}


def prepare(python: str, name: str, django: str | None) -> Path:
    """Return the environment's interpreter; recreate the environment if the requirements have changed."""
    folder = ENVIRONMENTS / name
    stamp = folder / ".stamp"
    wanted = (ROOT / "requirements-dev.txt").read_text() + str(django)
    interpreter = folder / "bin" / "python"
    if stamp.is_file() and stamp.read_text() == wanted:
        return interpreter
    subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
    pip = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", str(ROOT / "requirements-dev.txt")], check=True)
    if django:
        subprocess.run([*pip, "--upgrade", django], check=True)
    stamp.write_text(wanted)
    return interpreter


def main(arguments: list[str]) -> int:
    found = pythons()
    if not found:
        sys.stderr.write("There is no Python on this machine that is newer than the one that runs this.\n")
        return 0
    outcomes = {}
    for version, path in found.items():
        for kind, django in DJANGOS.items():
            interpreter = prepare(path, f"{version}-{kind}", django)
            shown = subprocess.run(
                [interpreter, "-m", "django", "--version"], capture_output=True, text=True, check=True
            ).stdout.strip()
            name = f"Python {version}, Django {shown}"
            sys.stderr.write(f"\n{name}\n")
            environment = {
                key: value for key, value in os.environ.items() if not re.match("HUB_(?!TEST)", key)
            }
            run = subprocess.run(
                [interpreter, "-m", "pytest", "-n", "2", "--dist", "loadgroup", "-q", *arguments],
                cwd=ROOT,
                env=environment,
                check=False,
            )
            outcomes[name] = run.returncode
    sys.stderr.write(
        "\n" + "\n".join(f"{name}: {'passed' if not code else 'failed'}" for name, code in outcomes.items())
    )
    sys.stderr.write("\n")
    return max(outcomes.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
