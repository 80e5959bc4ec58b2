import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.server import (
    count_warm_slots,
    model_host_pids,
    scratch_folder,
    server_environment,
)
from hosting.folder import open_folder

NOBODY_PID = 2**22 + 1  # beyond the largest process id that Linux gives


def health(*children: int, host: int = NOBODY_PID, models: Sequence[str] = ()) -> dict[str, Any]:
    processes = [{"pid": pid, "job_id": None} for pid in children]
    hosts = [{"pid": host, "pool": {"models_by_size": dict.fromkeys(models, 1)}}]
    return {"workers": [{"worker": "w", "processes": processes}], "model_hosts": hosts}


def test_children_count_once_their_host_has_the_model():
    own = os.getpid()

    assert count_warm_slots(health(own, own, host=own, models=["base"]), "base") == 2
    assert count_warm_slots(health(own, own, host=own, models=["tiny"]), "base") == 0


def test_a_child_and_a_host_of_an_earlier_start_are_not_counted():
    own = os.getpid()

    assert count_warm_slots(health(own, NOBODY_PID, host=own, models=["base"]), "base") == 1
    assert count_warm_slots(health(own, models=["base"]), "base") == 0


def test_the_model_host_is_found_by_the_place_it_holds(tmp_path: Path):
    folder = open_folder(tmp_path / "run")
    folder.socket(0).touch()

    with folder.held(0):
        held_by = model_host_pids(tmp_path)
    left = model_host_pids(tmp_path)

    assert held_by == [os.getpid()]
    assert left == []


def test_looking_for_model_hosts_makes_no_folder(tmp_path: Path):
    assert model_host_pids(tmp_path) == []
    assert [*tmp_path.iterdir()] == []


def test_the_server_shares_no_store_with_an_installation(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://real/one")

    environment = server_environment(tmp_path, "tiny", 3, {"TORCH_THREADS": "1"})

    assert environment["DATABASE_URL"] == environment["REDIS_URL"] == ""
    assert environment["DATA_DIR"] == str(tmp_path)
    assert environment["CELERY_CONCURRENCY"] == "3"
    assert environment["TORCH_THREADS"] == "1"
    assert environment["PORT"] != environment["FLOWER_PORT"]


def test_a_scratch_folder_goes_with_all_that_is_in_it():
    with scratch_folder() as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file").touch()

    assert not folder.exists()
