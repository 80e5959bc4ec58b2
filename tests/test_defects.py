"""An index: the known ways in which a server of this kind fails, and what guards against each.

Each test named here fails on its defect. That the names exist is tested; what they test is in
them.
"""

import ast
from dataclasses import dataclass

import pytest

from tests.source_tree import ROOT


@dataclass(frozen=True)
class Defect:
    """One defect of an earlier program of this kind, and the tests that fail on it."""

    what: str
    tests: tuple[str, ...]


SERVICES = "tests/integration/services"
DEFECTS = {
    1: Defect(
        "dead letters stay empty: their handler looks for the job where the message has it not",
        (
            f"{SERVICES}/test_messages.py::test_the_dead_letter_task_finds_the_failed_job_by_its_message",
            f"{SERVICES}/test_messages.py::test_the_transcription_task_is_called_with_the_job_that_was_rung_for",
            f"{SERVICES}/test_run_job.py::test_a_damaged_recording_fails_at_once_and_is_a_dead_letter",
            f"{SERVICES}/test_sweeps.py::test_a_job_that_kills_every_worker_ends_in_the_dead_letters",
        ),
    ),
    2: Defect(
        "the first job of a model waits out the whole timeout before the model is loaded",
        (
            "tests/unit/test_model_pool.py::test_a_cold_acquire_loads_at_once_instead_of_waiting",
            "tests/unit/test_model_pool.py::test_a_failed_load_frees_its_place",
            "tests/acceptance/test_main_job.py::test_the_pool_serves_the_second_job_from_memory",
        ),
    ),
    3: Defect(
        "a model in use is evicted, and a fallback has no place to go back to",
        (
            "tests/unit/test_model_pool.py::test_whatever_happens_a_lent_model_is_never_unloaded",
            "tests/unit/test_model_pool.py::test_threads_never_share_a_model_for_one_borrower",
            "tests/unit/test_model_pool_sharing.py::test_a_shared_model_is_in_use_until_its_last_borrower_gives_it_back",
            "tests/unit/test_model_pool.py::test_giving_back_twice_changes_nothing",
            "tests/unit/test_model_pool.py::test_out_of_memory_at_load_ends_in_a_smaller_model_and_the_result_says_so",
        ),
    ),
    4: Defect(
        "out of memory while transcribing is retried with the same model",
        (
            "tests/unit/test_model_pool.py::test_out_of_memory_while_decoding_ends_in_a_smaller_model_too",
            "tests/unit/engines/test_out_of_memory.py::test_torch_says_out_of_memory_in_many_ways",
            "tests/integration/test_oom_ladder.py::test_base_falls_back_to_tiny_and_the_transcript_says_so",
        ),
    ),
    5: Defect(
        "the health page shows the pool of the web process, which imports the models for it",
        (
            f"{SERVICES}/test_pool_report.py::test_a_host_that_two_children_report_counts_once",
            f"{SERVICES}/test_pool_report.py::test_the_hosts_of_a_machine_are_added_up",
            "tests/test_web_is_light.py::test_neither_the_web_process_nor_a_prefork_child_ever_imports_a_model",
        ),
    ),
    6: Defect(
        "a cancelled job runs all the same and ends as completed",
        (
            f"{SERVICES}/test_jobs.py::test_a_waiting_job_is_cancelled_at_once_and_never_runs",
            f"{SERVICES}/test_run_job.py::test_a_cancel_stops_the_work_and_the_job_never_completes",
            f"{SERVICES}/test_run_job.py::test_a_cancel_that_comes_after_the_last_window_still_wins",
            f"{SERVICES}/test_sweeps.py::test_a_cancel_is_forced_when_the_worker_died",
            f"{SERVICES}/test_lifecycle_machine.py::test_the_job_core_agrees_with_its_model",
            "tests/acceptance/test_core_promises.py::test_what_is_cancelled_while_no_worker_is_up_never_runs_and_its_file_goes",
        ),
    ),
    # 7, access to the jobs of others, is a matter of keys, which there are none of yet.
    7: Defect(
        "anybody reads any job, and limits are counted by one process for itself",
        (
            "tests/unit/api/test_auth.py::test_every_other_route_wants_a_key",
            "tests/integration/api/test_tenancy.py::test_to_another_tenant_a_job_is_as_one_that_never_was",
            "tests/unit/api/test_limits.py::test_a_request_too_many_is_refused_with_the_time_to_come_again",
            "tests/integration/services/test_request_rate.py::test_processes_count_together",
        ),
    ),
    8: Defect(
        "a client's file name becomes a path, and an upload stands in memory before it is judged",
        (
            "tests/unit/api/test_filenames.py::test_a_name_is_reduced_to_what_can_be_shown",
            "tests/unit/api/test_submit.py::test_only_the_last_part_of_a_file_name_is_kept",
            "tests/unit/api/test_submit.py::test_a_body_announced_too_large_is_refused_before_it_is_read",
            "tests/unit/api/test_submit.py::test_a_body_of_unknown_length_is_cut_off_when_it_grows_too_large",
            "tests/contract/test_storage.py::test_an_upload_never_stands_in_memory_as_a_whole",
            "tests/contract/test_storage.py::test_a_malformed_key_names_nothing",
            "tests/integration/api/test_jobs.py::test_what_is_no_recording_is_refused_and_nothing_is_kept",
        ),
    ),
    9: Defect(
        "the duration is null, segments are not returned, totals are of one page, a bad id is 500",
        (
            f"{SERVICES}/test_run_job.py::test_a_job_goes_from_submission_to_a_transcript",
            "tests/integration/api/test_jobs.py::test_a_recording_goes_in_and_a_transcript_comes_out",
            "tests/acceptance/test_main_job.py::test_words_carry_times_inside_their_segments",
            "tests/integration/api/test_admin.py::test_dead_letters_come_in_pages",
            "tests/unit/api/test_jobs.py::test_an_id_that_no_job_has_is_404",
        ),
    ),
    10: Defect(
        "the broker delivers a long job again while it still runs, or its time limit ends it",
        (
            "tests/unit/test_celery_app.py::test_messages_are_acknowledged_early_since_the_lease_guards_the_job",
            "tests/unit/test_celery_app.py::test_no_limit_of_celery_ends_a_job_and_none_of_redis_repeats_it",
            f"{SERVICES}/test_run_job.py::test_racing_deliveries_of_one_job_yield_one_result",
            "tests/acceptance/test_core_promises.py::test_a_job_longer_than_every_broker_timeout_starts_once",
        ),
    ),
    11: Defect(
        "a repair runs the job a second time beside the first, without its options",
        (
            f"{SERVICES}/test_repair.py::test_a_damaged_recording_is_repaired_in_one_attempt_with_its_own_options",
            f"{SERVICES}/test_run_job.py::test_a_passing_fault_is_retried_with_the_same_options",
            f"{SERVICES}/test_run_job.py::test_a_late_twin_of_a_reaped_attempt_writes_nothing",
        ),
    ),
}


def names_of_tests_in(path):
    """The names of the tests of a file, those in classes too."""
    return {
        node.name
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize("number", DEFECTS)
def test_every_test_that_guards_against_a_defect_exists(number):
    named = [test.partition("::") for test in DEFECTS[number].tests]

    missing = [name for path, _, name in named if name not in names_of_tests_in(path)]

    assert named != []
    assert missing == []


def test_the_index_leaves_out_no_defect():
    assert [*DEFECTS] == [*range(1, 12)]
