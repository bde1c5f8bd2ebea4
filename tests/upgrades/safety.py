"""Find operations of a migration that break the former version while both versions run side by side.

An upgrade replaces one hub after the other, so for a while the former version works on the new database. Columns and
tables are therefore added in one release and removed in a later one, when no running version uses them any more. A
migration that removes something names the release that stopped using it: `removed_after = "0.2.0"` in its class.
"""

from django.db import migrations, models
from django.db.models import NOT_PROVIDED


def unsafe(migration: type[migrations.Migration]) -> list[str]:
    """Return descriptions of the problems in a migration."""
    found = []
    for operation in migration.operations:
        match operation:
            case migrations.RenameField() | migrations.RenameModel() | migrations.AlterModelTable():
                found.append(f"{operation.describe()}: the former version still uses the old name")
            case migrations.RemoveField() | migrations.DeleteModel() if not hasattr(
                migration, "removed_after"
            ):
                found.append(
                    f"{operation.describe()}: the former version may still use it; see removed_after"
                )
            case migrations.AddField(field=field) if not _fills_itself(field):
                found.append(
                    f"{operation.describe()}: rows of the former version lack it; give it a db_default"
                )
    return found


def _fills_itself(field: models.Field) -> bool:
    return field.null or field.many_to_many or field.db_default is not NOT_PROVIDED
