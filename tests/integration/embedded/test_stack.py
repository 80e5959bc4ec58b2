import signal
import stat
from pathlib import Path

import psycopg2
import pytest
import redis

from domain.errors import ConfigurationError
from embedded.credentials import secrets_path
from embedded.postgres import accepts, end_orphan, prepare_postgres
from embedded.process import command_line, has_ended, is_alive
from embedded.stack import locked, start_postgres, start_services, start_valkey
from embedded.valkey import answers
from tests.conftest import FAST_POSTGRES
from tests.integration.embedded.waiting import wait_until


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """One folder for all tests that leave it whole: making a cluster takes seconds."""
    return tmp_path_factory.mktemp("embedded")


def query(url, statement, *, writes=False):
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return None if writes else cursor.fetchone()[0]
    finally:
        connection.close()


def test_rows_and_messages_outlive_a_restart(data_dir):
    with start_services(data_dir, postgres_options=FAST_POSTGRES) as urls:
        query(urls.database_url, "CREATE TABLE kept_1 AS SELECT 42 AS answer", writes=True)
        redis.Redis.from_url(urls.redis_url).lpush("queue", "message")

    with start_services(data_dir, postgres_options=FAST_POSTGRES) as again:
        assert query(again.database_url, "SELECT answer FROM kept_1") == 42
        assert redis.Redis.from_url(again.redis_url).llen("queue") == 1
        assert again == urls


def test_others_can_read_neither_the_folders_nor_the_password_in_a_list_of_processes(data_dir):
    with start_services(data_dir, postgres_options=FAST_POSTGRES) as urls:
        password = urls.database_url.split(":")[2].split("@")[0]
        words = "".join(command_line(int(p.name)) for p in Path("/proc").glob("[0-9]*"))

    assert password not in words
    for path in (data_dir / "postgres", data_dir / "valkey"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_wrong_password_is_refused_by_both(data_dir):
    with start_services(data_dir, postgres_options=FAST_POSTGRES) as urls:
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            psycopg2.connect(urls.database_url.replace("scriptorium:", "scriptorium:x"))
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(urls.redis_url.replace("//:", "//:x")).ping()


def test_committed_rows_outlive_a_killed_postgres(data_dir):
    with start_postgres(data_dir) as server:
        query(server.url, "CREATE TABLE kept_2 AS SELECT 42 AS answer", writes=True)
        server.process.send_signal(signal.SIGKILL)
        wait_until(lambda: has_ended(server.process))

    with start_postgres(data_dir) as again:
        assert query(again.url, "SELECT answer FROM kept_2") == 42


def test_a_postgres_whose_parent_is_gone_is_stopped_before_the_next_start(data_dir):
    with start_postgres(data_dir, options=FAST_POSTGRES) as server:
        pid = server.process.pid

        end_orphan((data_dir / "postgres").resolve())

        wait_until(lambda: not is_alive(pid))
        assert not accepts(server.url)


def test_secrets_that_do_not_fit_the_folder_are_told_at_once(data_dir):
    kept = secrets_path(data_dir).rename(data_dir / "kept.json")

    with (
        pytest.raises(ConfigurationError, match=r"secrets\.json is not the one"),
        start_postgres(data_dir, options=FAST_POSTGRES),
    ):
        pass

    kept.rename(secrets_path(data_dir))


def test_a_folder_of_another_version_is_told_and_not_touched(data_dir):
    version = data_dir / "postgres" / "PG_VERSION"
    found = version.read_text()
    version.write_text("9\n")

    with pytest.raises(ConfigurationError, match="made by Postgres 9"):
        prepare_postgres(data_dir, port=20_001, password="x")

    version.write_text(found)


def test_a_first_start_that_was_cut_off_is_begun_again(tmp_path):
    (tmp_path / "postgres.new" / "base").mkdir(parents=True)
    (tmp_path / "postgres.new" / "PG_VERSION").write_text("18\n")

    with start_postgres(tmp_path, options=FAST_POSTGRES) as server:
        assert accepts(server.url)


def test_a_folder_of_something_else_is_told_and_not_touched(tmp_path):
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "precious.txt").touch()

    with pytest.raises(ConfigurationError, match="holds files, but no Postgres"):
        prepare_postgres(tmp_path, port=20_001, password="x")

    assert [path.name for path in (tmp_path / "postgres").iterdir()] == ["precious.txt"]


def test_two_cannot_hold_one_folder(data_dir):
    with (
        locked(data_dir),
        pytest.raises(ConfigurationError, match="another Scriptorium already runs on"),
        locked(data_dir),
    ):
        pass

    with locked(data_dir):
        pass


def test_a_folder_with_blanks_quotes_and_other_letters_works(tmp_path):
    folder = tmp_path / 'Ärger mit "Namen"'

    with start_valkey(folder) as valkey, start_postgres(folder, options=FAST_POSTGRES) as postgres:
        assert answers(valkey.url)
        assert accepts(postgres.url)
