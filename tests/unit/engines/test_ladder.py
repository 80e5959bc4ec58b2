import pytest

from domain.errors import OutOfMemory
from domain.options import TranscriptionOptions
from engines.ladder import Descent, Rung, next_rung
from engines.model_facts import smaller_sizes

GPU = ["cuda:0", "cpu"]


def step(descent, *, has_idle=False, devices=("cpu",), absent=(), has_shrunk_batch=False):
    return descent.step(
        stage="load",
        reason="no room",
        devices=list(devices),
        has_idle=has_idle,
        is_present=lambda size: size not in absent,
        has_shrunk_batch=has_shrunk_batch,
    )


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("large-v3", ["medium", "small", "base", "tiny"]),
        ("turbo", ["medium", "small", "base", "tiny"]),
        ("base.en", ["tiny.en"]),
        ("tiny", []),
        ("tiny.en", []),
    ],
)
def test_smaller_models_are_of_the_same_kind(size, expected):
    assert smaller_sizes(size) == expected


@pytest.mark.parametrize(
    ("size", "device", "at_first", "usable", "expected"),
    [
        ("base", "cuda:0", "batch idle", {"tiny"}, Rung("smaller_batch", "base", "cuda:0")),
        ("base", "cuda:0", "idle", {"tiny"}, Rung("free_idle_models", "base", "cuda:0")),
        ("base", "cuda:0", "", {"tiny"}, Rung("smaller_model", "tiny", "cuda:0")),
        ("small", "cpu", "", {"tiny"}, Rung("smaller_model", "tiny", "cpu")),
        ("base", "cuda:0", "", set(), Rung("cpu", "base", "cpu")),
        ("tiny", "cpu", "", {"tiny"}, None),
        ("base", "cpu", "", set(), None),
    ],
)
def test_the_batch_shrinks_first_then_idle_models_go_then_the_model_shrinks_and_last_comes_the_cpu(
    size, device, at_first, usable, expected
):
    rung = next_rung(
        size,
        device,
        devices=GPU,
        has_shrunk_batch="batch" in at_first,
        may_free_idle="idle" in at_first,
        can_use=usable.__contains__,
    )

    assert rung == expected


def test_every_rung_is_noted():
    descent = Descent("base", "base", "cuda:0", allow_downgrade=True)

    step(descent, has_idle=True, devices=GPU, has_shrunk_batch=True)
    step(descent, has_idle=True, devices=GPU)
    step(descent, devices=GPU)
    step(descent, devices=GPU)

    taken = [(f.rung, f.from_model, f.to_model) for f in descent.fallbacks]
    assert taken == [
        ("smaller_batch", "base", "base"),
        ("free_idle_models", "base", "base"),
        ("smaller_model", "base", "tiny"),
        ("cpu", "tiny", "tiny"),
    ]
    with pytest.raises(OutOfMemory):
        step(descent, devices=GPU)


def test_idle_models_are_freed_once_at_each_place():
    descent = Descent("base", "base", "cpu", allow_downgrade=True)

    kinds = [step(descent, has_idle=True).kind for _ in range(3)]

    assert kinds == ["free_idle_models", "smaller_model", "free_idle_models"]


def test_a_job_that_forbids_a_smaller_model_may_still_move_to_the_cpu():
    descent = Descent("base", "base", "cuda:0", allow_downgrade=False)

    rung = step(descent, devices=GPU)

    assert rung == Rung("cpu", "base", "cpu")
    with pytest.raises(OutOfMemory, match="does not allow"):
        step(descent, devices=GPU)


def test_a_model_that_is_not_on_this_machine_is_skipped():
    descent = Descent("medium", "medium", "cpu", allow_downgrade=True)

    rung = step(descent, absent={"small", "base"})

    assert rung.model_size == "tiny"


def test_a_model_that_does_not_know_the_language_is_skipped():
    descent = Descent("large-v3", "large-v3", "cpu", allow_downgrade=True)
    descent.options = TranscriptionOptions("large-v3", language="yue")

    with pytest.raises(OutOfMemory):
        step(descent)
