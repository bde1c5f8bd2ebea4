"""Secrets at rest: the key ring, and rows that contain only ciphertext."""

import base64
import copy
import os
import pickle
from io import StringIO
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection

from exporters.credentials.encryption import KeyRing, Sealed, UndecryptableError, fingerprint
from exporters.models import Credential, Team

from .conftest import CONNECTION_STRING, KEY


def new_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def stored(row: Credential, column: str = "secret") -> str:
    """Return the value that is actually in the database."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM exporters_credential WHERE id = %s", [row.pk])
        return str(cursor.fetchone()[0])


def reload(row: Credential) -> Credential:
    return Credential.objects.get(pk=row.pk)


class TestKeyRing:
    def test_what_the_first_key_seals_every_ring_with_it_opens(self) -> None:
        old, new = new_key(), new_key()
        sealed = KeyRing([old]).seal("hush", "row 1")
        assert KeyRing([new, old]).open(sealed, "row 1") == "hush"

    def test_the_first_key_is_the_one_that_seals(self) -> None:
        old, new = new_key(), new_key()
        sealed = KeyRing([new, old]).seal("hush", "row 1")
        assert KeyRing([new]).open(sealed, "row 1") == "hush"
        with pytest.raises(UndecryptableError):
            KeyRing([old]).open(sealed, "row 1")

    def test_another_rows_value_does_not_open(self) -> None:
        ring = KeyRing([new_key()])
        with pytest.raises(UndecryptableError, match="row 2"):
            ring.open(ring.seal("hush", "row 1"), "row 2")

    @pytest.mark.parametrize("ciphertext", ["", "plain text", "gAAAAA==", "ümlaut", "\0"])
    def test_what_is_no_ciphertext_is_refused_and_never_handed_out(self, ciphertext: str) -> None:
        with pytest.raises(UndecryptableError):
            KeyRing([new_key()]).open(Sealed(ciphertext), "row 1")

    @pytest.mark.parametrize("keys", [[], ["short"], ["x" * 44], [new_key(), "ümlaut"]])
    def test_a_ring_of_something_else_than_keys_is_refused_without_showing_it(self, keys: list[str]) -> None:
        with pytest.raises(ImproperlyConfigured) as caught:
            KeyRing(keys)
        assert not any(key in str(caught.value) for key in keys if key != "short")

    def test_a_sealed_value_shows_nothing_of_itself(self) -> None:
        sealed = KeyRing([new_key()]).seal("hush", "row 1")
        assert str(sealed) == repr(sealed) == f"{sealed}" == "<Sealed>"
        assert pickle.loads(pickle.dumps(sealed)) == copy.deepcopy(sealed) == sealed


def test_a_fingerprint_tells_secrets_apart_and_depends_on_the_hubs_key(settings: Any) -> None:
    first = fingerprint("hush")
    assert first == fingerprint("hush") != fingerprint("other")
    settings.SECRET_KEY = "another"
    assert fingerprint("hush") != first


@pytest.mark.django_db
class TestRows:
    def test_the_database_holds_ciphertext_alone(self, credential: Credential) -> None:
        assert KEY not in stored(credential)
        assert "RootManage" not in stored(credential)
        assert reload(credential).reveal_secret() == CONNECTION_STRING

    def test_a_loaded_or_saved_row_shows_no_plaintext(self, credential: Credential) -> None:
        for row in (credential, reload(credential)):
            assert isinstance(row.secret, Sealed)
            assert KEY not in repr(vars(row))

    def test_saving_again_keeps_the_ciphertext_and_the_age(self, credential: Credential) -> None:
        before, since = stored(credential), credential.secret_set_at
        row = reload(credential)
        row.save()
        assert (stored(row), row.secret_set_at) == (before, since)

    def test_the_same_secret_entered_again_is_not_younger(self, credential: Credential) -> None:
        since = credential.secret_set_at
        credential.secret = CONNECTION_STRING
        credential.save()
        assert reload(credential).secret_set_at == since

    def test_a_value_copied_into_another_row_does_not_decrypt_there(
        self, credential: Credential, team: Team
    ) -> None:
        other = Credential.objects.create(
            name="other", team=team, secret=CONNECTION_STRING.replace("prod", "x")
        )
        Credential.objects.filter(pk=other.pk).update(secret=credential.secret)
        with pytest.raises(UndecryptableError, match=f"credential “other” \\(row {other.pk}\\)"):
            reload(other).reveal_secret()

    def test_a_value_moved_to_another_column_does_not_decrypt_there(self, credential: Credential) -> None:
        Credential.objects.filter(pk=credential.pk).update(certificate_password=credential.secret)
        with pytest.raises(UndecryptableError):
            reload(credential).reveal_certificate_password()

    def test_a_wrong_key_raises_and_hands_out_nothing(self, credential: Credential, settings: Any) -> None:
        settings.HUB_ENCRYPTION_KEYS = [new_key()]
        with pytest.raises(UndecryptableError) as caught:
            reload(credential).reveal_secret()
        assert stored(credential) not in str(caught.value)

    def test_a_plain_text_planted_in_the_database_is_not_taken_for_a_secret(
        self, credential: Credential
    ) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE exporters_credential SET secret = 'Endpoint=sb://evil/'")
        with pytest.raises(UndecryptableError):
            reload(credential).reveal_secret()

    def test_secrets_can_neither_be_updated_in_bulk_nor_searched_for(self, credential: Credential) -> None:
        with pytest.raises(TypeError, match="can't be searched for or updated in bulk"):
            Credential.objects.update(secret=CONNECTION_STRING)
        with pytest.raises(TypeError):
            Credential.objects.filter(secret=CONNECTION_STRING).exists()
        credential.secret = CONNECTION_STRING
        with pytest.raises(TypeError):
            Credential.objects.bulk_update([credential], ["secret"])

    def test_rows_created_in_bulk_are_encrypted_too(self, team: Team) -> None:
        Credential.objects.bulk_create([Credential(name="bulk", team=team, secret=CONNECTION_STRING)])
        row = Credential.objects.get(name="bulk")
        assert KEY not in stored(row)
        assert row.reveal_secret() == CONNECTION_STRING

    def test_a_dump_holds_ciphertext_alone_and_loads_again(
        self, credential: Credential, tmp_path: Any
    ) -> None:
        dump = tmp_path / "dump.json"
        call_command("dumpdata", "exporters", output=str(dump))
        assert KEY not in dump.read_text()
        Credential.objects.all().delete()
        call_command("loaddata", str(dump), verbosity=0)
        assert Credential.objects.get(name="payments-manage").reveal_secret() == CONNECTION_STRING

    def test_the_history_has_the_fingerprint_and_no_secret(self, credential: Credential) -> None:
        credential.secret = CONNECTION_STRING.replace(KEY, "bmV3LXBsYW50ZWQta2V5")
        credential.save()
        newest, oldest = Credential.history.all()
        assert newest.secret_fingerprint != oldest.secret_fingerprint
        assert "secret" not in {field.name for field in Credential.history.model._meta.fields}
        for row in (newest, oldest):
            assert KEY not in repr(vars(row))


@pytest.mark.django_db
class TestReencrypt:
    def test_every_row_is_encrypted_with_the_first_key(self, credential: Credential, settings: Any) -> None:
        old, new = settings.HUB_ENCRYPTION_KEYS[0], new_key()
        before, history = stored(credential), Credential.history.count()
        settings.HUB_ENCRYPTION_KEYS = [new, old]
        out = StringIO()
        call_command("reencrypt", stdout=out)
        assert out.getvalue() == "1 secrets are encrypted with the first key.\n"
        assert stored(credential) != before
        assert Credential.history.count() == history
        settings.HUB_ENCRYPTION_KEYS = [new]
        assert reload(credential).reveal_secret() == CONNECTION_STRING

    def test_rows_that_do_not_decrypt_are_named_and_left_alone(
        self, credential: Credential, team: Team, settings: Any
    ) -> None:
        before = stored(credential)
        settings.HUB_ENCRYPTION_KEYS = [new_key()]
        good = Credential.objects.create(name="good", team=team, secret=CONNECTION_STRING)
        with pytest.raises(CommandError, match=r"1 could not be decrypted.*\n.*“payments-manage”"):
            call_command("reencrypt", stdout=StringIO())
        assert stored(credential) == before
        assert reload(good).reveal_secret() == CONNECTION_STRING
