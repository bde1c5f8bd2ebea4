"""Mutate real pages and compare all readers on them: python -m tests.servicebus.fuzz_pages --seconds 600."""

import argparse
import random
import sys
import time

from tests.servicebus.mutations import mutated
from tests.servicebus.pages import seeds
from tests.servicebus.second_opinions import SHAPES, contradictions, is_scanned


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=600)
    arguments.add_argument("--seed", type=int, default=None)
    options = arguments.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(2**32)
    source, pages = random.Random(seed), seeds()
    until = time.monotonic() + options.seconds
    tried = scanned = failed = 0
    slowest = 0.0
    while time.monotonic() < until and failed < 20:
        body = mutated(source, pages)
        started = time.process_time()
        try:
            found = contradictions(body)
        except Exception as error:
            found = [f"raises {error!r}"]
        slowest = max(slowest, time.process_time() - started)
        tried += 1
        scanned += any(is_scanned(kind, body) for kind in SHAPES)
        if found:
            failed += 1
            print(f"seed {seed}, page {tried}: {found[:3]}\n{body!r}\n", flush=True)  # noqa: T201
    counts = f"{tried} pages, {scanned} of them scanned, {failed} failed"
    print(f"seed {seed}: {counts}, slowest {slowest:.2f} s of CPU")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
