"""The host reads how far the slots are one report late."""

import torch

from engines.batched.device_reports import Reports
from engines.batched.device_state import SlotState


def test_each_report_is_read_when_the_next_is_on_its_way():
    state = SlotState.empty(2, 10, torch.device("cpu"))
    reports = Reports(state)
    seen = []

    for written in (3, 7, 9):
        state.written.fill_(written)
        reports.take()
        report = reports.read()
        seen.append(report and (report.number, report.written.tolist()))

    assert seen == [None, (0, [3, 3]), (1, [7, 7])]


def test_when_no_steps_follow_the_last_report_is_read_and_made_if_there_is_none():
    state = SlotState.empty(2, 10, torch.device("cpu"))
    reports = Reports(state)
    state.written.fill_(3)

    made = reports.read(is_last=True)
    reports.take()
    waiting = reports.read(is_last=True)

    assert [made.number, waiting.number] == [0, 1]
    assert waiting.written.tolist() == [3, 3]
