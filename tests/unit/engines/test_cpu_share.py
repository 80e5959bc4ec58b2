import pytest

from engines.cpu_share import CpuShare, parse_quota, usable_cores


def test_an_engine_alone_gets_all_cores(tmp_path):
    share = CpuShare(tmp_path / "run" / "places", cores=8)

    with share.busy():
        assert share.threads() == 8


def test_two_engines_get_half_each_until_one_is_done(tmp_path):
    share = CpuShare(tmp_path / "places", cores=8)

    with share.busy():
        with share.busy():
            assert share.threads() == 4
        assert share.threads() == 8


def test_nobody_gets_less_than_one_thread(tmp_path):
    share = CpuShare(tmp_path / "places", cores=1)

    with share.busy(), share.busy(), share.busy():
        assert share.threads() == 1


def test_a_number_set_by_hand_wins(tmp_path):
    share = CpuShare(tmp_path / "places", fixed_threads=3, cores=8)

    with share.busy(), share.busy():
        assert share.threads() == 3


def test_a_place_is_free_again_after_an_error(tmp_path):
    share = CpuShare(tmp_path / "places", cores=2)

    with pytest.raises(ValueError, match="broken"), share.busy():
        raise ValueError("broken")

    with share.busy():
        assert share.threads() == 2


def test_without_a_place_for_the_lock_file_an_engine_counts_as_alone(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    share = CpuShare(tmp_path / "file" / "places", cores=4)

    with share.busy():
        assert share.threads() == 4


@pytest.mark.parametrize(
    ("fields", "cores"),
    [(["max", "100000"], None), (["-1", "100000"], None), (["150000", "100000"], 1.5)],
)
def test_the_quota_of_a_container_is_read(fields, cores):
    assert parse_quota(fields) == cores


def test_this_machine_has_a_core():
    assert usable_cores() >= 1
