"""`python -m bench.rotation`: rotate every key while a namespace is scraped every 200 ms (tests/support/rotation.py).

Prints the figures; exits with 1 if a scrape failed.
"""

import argparse
import sys

from tests.support.hubs import quantile
from tests.support.rotation import measure


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60)
    figures = measure(parser.parse_args().seconds)
    for name, count in figures.steps.items():
        print(f"{count:4} x {name}")
    print(
        f"{len(figures.seconds)} scrapes, {len(figures.failures)} failed; median "
        f"{quantile(figures.seconds, 0.5):.3f} s, 99th percentile {quantile(figures.seconds, 0.99):.3f} s, longest "
        f"{max(figures.seconds):.3f} s; {figures.refused} requests were refused with 401 before the other key was shown"
    )
    for line in [*figures.failures[:20], *figures.alarms[:20]]:
        print(line)
    return 1 if figures.failures else 0


if __name__ == "__main__":
    sys.exit(main())
