"""A duration is never computed from dates, because dates are set back and forward, and differ between machines.

Every place in the product that reads the date is listed here with its reason. Durations and ages use
`exporters.servicebus.clock` (or time.monotonic within one process).
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Names that read a date, or the date of a file: the last two names of the expression.
_DATES = {
    *("time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.ctime", "time.asctime"),
    *("time.strftime", "time.CLOCK_REALTIME", "timezone.now", "timezone.localtime", "timezone.localdate"),
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today", "functions.Now", "os.utime"),
    *("path.getmtime", "path.getctime", "path.getatime"),
}
_ATTRIBUTES = {f"st_{which}time{unit}" for which in "mca" for unit in ("", "_ns")}
_KEYWORDS = {"auto_now", "auto_now_add"}
_SQL = ("CURRENT_TIMESTAMP", "clock_timestamp", "statement_timestamp", "transaction_timestamp", "NOW()")

_EXPIRY = "expires at a date by contract: people enter it, or the other side checks it"
_SHOWN = "people see the date"
_RECORDED = "people see when it was made or changed"
_PAGE = "a page says how long ago a date was; status.state_of calls nothing stale within five minutes"
_CHANGED = "the file's date is compared with itself alone, to see whether the file has changed"
_PASSES = "the credential's clock: " + _EXPIRY
LISTED = {
    "exporters/admin/bearer.py:BearerForm.clean_expires_at": _EXPIRY,
    "exporters/admin/credential.py:CredentialAdmin.change_view": _PAGE,
    "exporters/admin/credential.py:CredentialAdmin.expires": _EXPIRY,
    "exporters/admin/credential.py:ExpiryFilter.queryset": _EXPIRY,
    "exporters/admin/credential_form.py:describe_secret": _PAGE,
    "exporters/admin/pending_secrets.py:HeldSecrets._current": (
        "sessions are shared by hubs and outlive the machine's start"
    ),
    "exporters/admin/pending_secrets.py:HeldSecrets.hold": (
        "sessions are shared by hubs and outlive the machine's start"
    ),
    "exporters/admin/namespace_readings.py:NamespaceReadingPages._context": _PAGE,
    "exporters/admin/namespace_status.py:NamespaceStatusPage.status_view": _PAGE,
    "exporters/admin/token.py:StateFilter.queryset": _EXPIRY,
    "exporters/configuration/targets.py:Configuration.grant": _EXPIRY,
    "exporters/hub_yaml/secret_values.py:set_revoked": _RECORDED,
    "exporters/scraping/last_uses.py:latest_possible": (
        "finds dates that were written before a clock was set back"
    ),
    "exporters/scraping/last_uses.py:_seconds_ago": _SHOWN,
    "exporters/credentials/key_file.py:KeyFile.keys": _CHANGED,
    "exporters/models/bearer.py:BearerSecret": _RECORDED,
    "exporters/models/bearer.py:BearerSecret.is_usable": _EXPIRY,
    "exporters/models/bearer.py:BearerSecret.revoke": _RECORDED,
    "exporters/models/credentials.py:Credential": _RECORDED,
    "exporters/models/secret_slots.py:SecretPair.note_secret": _RECORDED,
    "exporters/models/namespaces.py:Namespace": _RECORDED,
    "exporters/models/teams.py:Team": _RECORDED,
    "exporters/models/wall.py:in_a_year": _EXPIRY,
    "exporters/formatting.py:lasting_tag": _PAGE,
    "exporters/formatting.py:relative": _PAGE,
    "exporters/configuration/disk_copy.py:DiskCopy.keep": (
        "the copy is for the time after a restart, when no other clock goes on"
    ),
    "exporters/configuration/disk_copy.py:DiskCopy.read": (
        "the copy is for the time after a restart, when no other clock goes on"
    ),
    "exporters/scraping/scrape_records.py:remember": _SHOWN,
    "exporters/credentials/references.py:revision": _CHANGED,
    "exporters/servicebus/retry_after.py:retry_after_seconds": (
        "it can be a date; the pause is at most a minute"
    ),
    "exporters/servicebus/credentials.py:SharedAccessSignatureCredential.__init__": _PASSES,
    "exporters/servicebus/credentials.py:SharedKeyCredential.__init__": _PASSES,
    "exporters/servicebus/credentials.py:_utc": _SHOWN,
    "exporters/servicebus/entra.py:EntraCredential.__init__": (
        "read once a token, to learn how long it lives"
    ),
    "exporters/servicebus/reader.py:Read.__init__": _SHOWN,
    "exporters/shared_state/files.py:FileStore.sweep": (
        "a file's last use can't be had otherwise; too early costs a read"
    ),
    "exporters/site.py:HubAdminSite.index": _PAGE,
    "exporters/connection_test/run.py:_tls": _EXPIRY,
    "exporters/scraping/reading.py:failed": _SHOWN,
    "exporters/views/wall.py:wall": _PAGE,
    "hub/sessions.py:SessionStore._get_session_from_db": _EXPIRY,
    "hub/tls.py:Certificate._state": _CHANGED,
}


def _reads_of_the_date(source: str) -> set[str]:
    """Return the functions that read a date, qualified with their classes; "" stands for a module's top level."""
    found: set[str] = set()

    def visit(node: ast.AST, where: tuple[str, ...]) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            where = (*where, node.name)
        if _reads_a_date(node):
            found.add(".".join(where))
        for child in ast.iter_child_nodes(node):
            visit(child, where)

    visit(ast.parse(source), ())
    return found


def _reads_a_date(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=name):
            return f"{owner}.{name}" in _DATES or name in _ATTRIBUTES
        case ast.Attribute(attr=name):
            return name in _ATTRIBUTES
        case ast.ImportFrom(module=str(module), names=names):
            return any(f"{module.rpartition('.')[2]}.{each.name}" in _DATES for each in names)
        case ast.keyword(arg=name):
            return name in _KEYWORDS
        case ast.Constant(value=str(text)):
            return any(each in text for each in _SQL)
    return False


def _in_the_product() -> set[str]:
    return {
        f"{path.relative_to(ROOT)}:{where}"
        for path in [*ROOT.glob("exporters/**/*.py"), *ROOT.glob("hub/**/*.py")]
        if "migrations" not in path.parts  # its defaults are those of the models
        for where in _reads_of_the_date(path.read_text(encoding="utf-8"))
    }


def test_every_place_that_reads_the_date_is_listed_with_its_reason() -> None:
    found = _in_the_product()
    assert found - LISTED.keys() == set(), (
        "use servicebus.clock for a duration, or list why it has to be a date"
    )
    assert LISTED.keys() - found == set(), "these don't read the date any more"


@pytest.mark.parametrize(
    "line",
    [
        "return time.time()",
        "clock = time.time",
        "return dt.datetime.now(UTC)",
        "return datetime.now(UTC)",
        "return timezone.now()",
        "return django.utils.timezone.now()",
        "from time import time",
        "from django.db.models.functions import Now",
        "return path.stat().st_mtime",
        "return os.path.getmtime(path)",
        "at = DateTimeField(auto_now=True)",
        "cursor.execute('SELECT CURRENT_TIMESTAMP')",
        "return time.clock_gettime(time.CLOCK_REALTIME)",
    ],
)
def test_a_new_place_is_found(line: str) -> None:
    assert _reads_of_the_date(f"class Thing:\n    def method(self):\n        {line}") == {"Thing.method"}


@pytest.mark.parametrize("line", ["return time.monotonic()", "return clock.now()", "return date.isoformat()"])
def test_what_reads_no_date_is_not(line: str) -> None:
    assert _reads_of_the_date(f"def function():\n    {line}") == set()
