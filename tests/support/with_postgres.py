"""`python -m tests.support.with_postgres COMMAND...`: run a command with a temporary PostgreSQL as HUB_DATABASE_URL.

`make test` uses it to run the tests that use the database a second time. Exits with the command's exit code. Without
PostgreSQL on the machine, prints a message and exits with 0, or with 1 if HUB_TEST_NO_SKIP=1 is set.
"""

import os
import subprocess
import sys

from tests.support.servers import PostgreSQL, program


def main(command: list[str]) -> int:
    try:
        program("postgres")
        program("initdb")
    except FileNotFoundError as missing:
        sys.stderr.write(f"Not run on PostgreSQL: {missing}.\n")
        return 1 if os.environ.get("HUB_TEST_NO_SKIP") == "1" else 0
    with PostgreSQL() as server:
        environment = {**os.environ, "HUB_DATABASE_URL": server.url()}
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
