"""A process that holds the configuration and executes its parent's commands, exchanged as lines of JSON."""

import json
import os
import sys
import time
from typing import Any

import django


def answer(command: dict[str, Any]) -> dict[str, Any]:
    from django.db import connection

    from exporters.configuration import reloader as reloading
    from exporters.configuration.reloader import reloader
    from exporters.models import Team

    started = time.monotonic()
    try:
        match command["do"]:
            case "current":
                configuration = reloader.current()
                result: dict[str, Any] = {
                    "names": sorted(configuration.targets),
                    "secrets": sorted(
                        target.credential.secret
                        for target in configuration.targets.values()
                        if target.credential
                    ),
                }
            case "add":
                from exporters.models import Credential, Namespace

                team, _ = Team.objects.get_or_create(name="payments")
                credential = Credential.objects.create(
                    name=f"{command['name']}-key", team=team, secret=command.get("secret", "s3cret")
                )
                Namespace.objects.create(name=command["name"], team=team, credential=credential)
                result = {}
            case "ready":
                from django.test import RequestFactory

                from exporters.views import health

                response = health.ready(RequestFactory().get("/-/ready"))
                result = {"status": response.status_code, "body": json.loads(response.content)}
            case "max_age":
                reloading._MAX_AGE_SECONDS = command["seconds"]
                result = {}
            case "forked":
                read, write = os.pipe()
                child = os.fork()
                if child == 0:
                    os.write(write, json.dumps(sorted(reloader.current().targets)).encode())
                    os._exit(0)
                os.close(write)
                os.waitpid(child, 0)
                result = {"names": json.loads(os.read(read, 65536))}
            case "busy":
                # `threads` pages at once, each with a database query that takes `seconds`.
                result = {"errors": _busy(command["threads"], command["seconds"])}
            case other:
                raise ValueError(other)
    except Exception as error:
        result = {"error": type(error).__name__, "message": str(error)}
    finally:
        connection.close()  # as at the end of a request
    return {
        **result,
        "seconds": time.monotonic() - started,
        "age": reloader.age_seconds(),
        "problem": reloader.problem(),
    }


def _busy(threads: int, seconds: float) -> list[str]:
    import threading

    from django.db import connection

    errors: list[str] = []

    def page() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(%s)", [seconds])
        except Exception as error:
            errors.append(str(error))
        finally:
            connection.close()

    pages = [threading.Thread(target=page) for _ in range(threads)]
    for thread in pages:
        thread.start()
    for thread in pages:
        thread.join()
    return errors


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    django.setup()
    _say({"ready": True})
    for line in sys.stdin:
        _say(answer(json.loads(line)))


def _say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
