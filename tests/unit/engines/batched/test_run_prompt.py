import pytest

from domain.options import TranscriptionOptions
from engines.batched.run import MAX_PROMPT_TOKENS
from tests.unit.engines.batched.heard_out import (
    four_talks,
    hear_out,
    one_window,
)
from tests.unit.engines.batched.scripted import (
    TOKENIZER,
    make_run,
)


def test_without_a_prompt_there_are_the_tokens_of_the_start_alone():
    _, request = make_run(one_window()).next_request()

    assert request.prompt == TOKENIZER.sot_sequence
    assert request.sot_index == 0


def test_an_initial_prompt_stands_before_the_start_of_every_window():
    options = TranscriptionOptions("tiny", initial_prompt="  Doctor Manette ")

    requests = hear_out(make_run(four_talks(), options))

    prompt = (TOKENIZER.sot_prev, *TOKENIZER.encode(" Doctor Manette"), *TOKENIZER.sot_sequence)
    assert {request.prompt for request in requests} == {prompt}
    assert {request.prompt[request.sot_index] for request in requests} == {TOKENIZER.sot}


def test_of_a_long_prompt_the_end_counts():
    text = " ".join(f"word{number}" for number in range(200))

    _, request = make_run(
        one_window(), TranscriptionOptions("tiny", initial_prompt=text)
    ).next_request()

    assert MAX_PROMPT_TOKENS == 223  # what openai-whisper keeps
    assert request.sot_index == 1 + 223
    assert TOKENIZER.decode(list(request.prompt[1:224])).endswith(" word199")


@pytest.mark.parametrize("prompt", [None, "", "   "])
def test_a_prompt_of_blanks_is_none(prompt):
    options = TranscriptionOptions("tiny", initial_prompt=prompt)

    _, request = make_run(one_window(), options).next_request()

    assert request.prompt == TOKENIZER.sot_sequence
