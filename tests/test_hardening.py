"""An index: what is done to strangers' requests before they can do harm, and what holds it.

As in tests/test_defects.py, that the names exist is tested; what they test is in them.
"""

import pytest

from tests.test_defects import names_of_tests_in

API, SERVED = "tests/unit/api", "tests/integration/api"
AUDIO, OUTGOING = "tests/integration/audio", "tests/integration/outgoing"
HARDENING = {
    "who asks is known before the body is read": (
        f"{API}/test_auth.py::test_a_stranger_is_refused_before_his_body_is_read",
        f"{API}/test_auth.py::test_every_other_route_wants_a_key",
        f"{SERVED}/test_real_server.py::test_a_stranger_is_answered_while_he_still_sends",
    ),
    "limits hold before the body is read": (
        f"{API}/test_limits.py::test_a_submission_without_room_is_refused_before_its_body_is_read",
        f"{API}/test_submit.py::test_a_body_announced_too_large_is_refused_before_it_is_read",
    ),
    "slow and half-open connections are bounded": (
        f"{SERVED}/test_slow_clients.py::test_a_request_that_stops_in_the_middle_is_cut_off",
        f"{SERVED}/test_slow_clients.py::test_more_slow_clients_than_threads_do_not_keep_others_out_for_long",
        f"{SERVED}/test_slow_clients.py::test_an_upload_that_stops_leaves_nothing_behind",
        f"{SERVED}/test_real_server.py::test_an_upload_that_ends_half_way_is_400_and_leaves_nothing",
    ),
    "answers tell nothing of the inside, and protect browsers": (
        f"{SERVED}/test_schemathesis.py::test_every_answer_is_as_described",
        f"{API}/test_answers.py::test_a_bug_is_a_500_that_tells_nothing_but_the_request_id",
        f"{SERVED}/test_heads.py::test_it_is_refused_without_a_crash_and_without_a_word_of_the_inside",
    ),
    "no page of another origin reads answers": (
        f"{API}/test_cors.py::test_by_default_no_page_is_let_in",
        f"{API}/test_cors.py::test_another_origin_is_not_let_in",
    ),
    "nobody forges a line of the log": (
        "tests/unit/services/test_log_context.py::test_a_client_cannot_forge_a_second_line",
    ),
    "a parameter has one value": (
        f"{API}/test_submit.py::test_an_option_with_two_values_is_refused",
        f"{API}/test_auth.py::test_two_different_keys_are_refused",
    ),
    "bodies, parts and headers are bounded": (
        f"{API}/test_bodies.py::test_a_json_body_beyond_a_mebibyte_is_413",
        f"{API}/test_bodies.py::test_json_nested_without_end_is_refused",
        f"{API}/test_submit.py::test_headers_without_end_are_refused",
        f"{API}/test_submit.py::test_a_file_in_a_form_may_not_exceed_the_limit_either",
        f"{SERVED}/test_heads.py::test_it_is_refused_without_a_crash_and_without_a_word_of_the_inside",
    ),
    "bombs do not go off": (
        f"{AUDIO}/test_bombs.py::test_hours_in_a_small_file_end_at_the_limit_and_in_little_memory",
        f"{AUDIO}/test_bombs.py::test_a_packed_recording_is_not_unpacked",
        f"{AUDIO}/test_bombs.py::test_a_list_makes_nobody_open_what_it_names",
        f"{OUTGOING}/test_fetching.py::test_a_compressed_answer_is_not_unpacked",
    ),
    "the decoder is locked in": (
        f"{AUDIO}/test_child.py::test_the_program_gets_no_socket_of_any_family",
        f"{AUDIO}/test_child.py::test_the_limits_hold_soon_after_the_start",
        f"{AUDIO}/test_child.py::test_the_program_has_an_empty_folder_of_its_own_that_goes_with_it",
        f"{AUDIO}/test_child.py::test_nothing_of_our_environment_reaches_the_program",
        f"{AUDIO}/test_attacks.py::test_the_options_alone_keep_a_playlist_from_being_followed",
    ),
    "this server calls no address from within": (
        f"{OUTGOING}/test_get_stream.py::test_a_name_with_an_address_that_is_not_public_is_refused",
        f"{OUTGOING}/test_get_stream.py::test_a_name_that_changes_after_the_check_leads_nowhere_else",
        f"{OUTGOING}/test_get_stream.py::test_a_redirect_looks_the_name_up_anew_and_checks_it_anew",
        f"{OUTGOING}/test_post.py::test_a_private_address_is_refused",
    ),
    "weak secrets stop the start": (
        "tests/unit/test_config.py::test_an_admin_key_that_can_be_guessed_is_refused",
        "tests/unit/test_config.py::test_the_example_as_it_is_has_no_admin_key",
    ),
    "packages are looked up among known vulnerabilities": (
        "tests/unit/scripts/test_audit_packages.py::test_a_vulnerability_and_nothing_else_ends_with_1",
    ),
    "what was done is on record": (
        "tests/integration/services/test_audit.py::test_a_changed_entry_is_found",
        "tests/integration/services/test_audit.py::test_a_removed_entry_is_found",
        f"{SERVED}/test_audit.py::test_what_is_done_to_a_job_names_who_and_which",
    ),
    "another tenant's jobs do not exist": (
        f"{SERVED}/test_tenancy.py::test_to_another_tenant_a_job_is_as_one_that_never_was",
        f"{SERVED}/test_tenancy.py::test_nothing_that_a_stranger_can_list_names_the_job",
    ),
}


@pytest.mark.parametrize("line", HARDENING)
def test_every_test_that_holds_a_line_exists(line):
    named = [test.partition("::") for test in HARDENING[line]]

    missing = [name for path, _, name in named if name not in names_of_tests_in(path)]

    assert named != []
    assert missing == []
