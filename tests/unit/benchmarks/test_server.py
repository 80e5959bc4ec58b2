import os
from pathlib import Path
from typing import Any

from benchmarks.server import count_warm_slots, scratch_folder, server_environment

NOBODY_PID = 2**22 + 1  # beyond the largest process id that Linux gives


def health(*processes: tuple[int, dict[str, int]]) -> dict[str, Any]:
    listed = [{"pid": pid, "model_pool": {"models_by_size": models}} for pid, models in processes]
    return {"workers": [{"worker": "w", "processes": listed}]}


def test_a_child_that_holds_the_model_is_warm():
    assert count_warm_slots(health((os.getpid(), {"base": 1}), (os.getpid(), {})), "base") == 1


def test_a_child_of_an_earlier_start_is_not_counted():
    assert count_warm_slots(health((NOBODY_PID, {"base": 1})), "base") == 0


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
