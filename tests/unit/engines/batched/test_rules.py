"""Our rules for all windows at once against openai-whisper's, which go row by row."""

import numpy as np
import pytest
import torch
from whisper.decoding import ApplyTimestampRules, SuppressBlank, SuppressTokens
from whisper.tokenizer import get_tokenizer

from engines.batched.kernels import FORBIDDEN
from engines.batched.rules import MAX_FIRST_STAMP, RuleState, TokenRules

ROWS = 2500  # random ones, for each of the tokenizers
AT_ONCE = 100
RANKED = 3
STAMPS = 1501  # 0.00 to 30.00 s
CPU = torch.device("cpu")


class Case:
    """A tokenizer, our rules for it, and whisper's."""

    def __init__(self, *, multilingual):
        self.tokenizer = get_tokenizer(multilingual, language="en", task="transcribe")
        self.stamps_from = self.tokenizer.timestamp_begin
        self.vocabulary = self.stamps_from + STAMPS
        self.rules = TokenRules(self.tokenizer, self.vocabulary, CPU)
        tokenizer = self.tokenizer
        suppressed = {
            *tokenizer.non_speech_tokens,
            tokenizer.transcribe,
            tokenizer.translate,
            tokenizer.sot,
            tokenizer.sot_prev,
            tokenizer.sot_lm,
            tokenizer.no_speech,
        }
        self._filters = [
            SuppressBlank(tokenizer, 0),
            SuppressTokens(sorted(suppressed)),
            ApplyTimestampRules(tokenizer, 0, MAX_FIRST_STAMP),
        ]

    def theirs(self, logits, history):
        """What whisper allows after this history, of logits (vocabulary,)."""
        logits = logits.clone()[None]
        tokens = torch.tensor([history], dtype=torch.long)
        for each in self._filters:
            each.apply(logits, tokens)
        return logits[0]

    def ours(self, logits, histories):
        """The same by our rules, of logits (rows, vocabulary)."""
        return self.rules.apply(logits, self.state_after(histories))

    def state_after(self, histories):
        state = RuleState.fresh(len(histories), CPU)
        for row, history in enumerate(histories):
            where = torch.tensor([row])
            for token in history:
                selected = state.select(where)
                self.rules.advance(selected, torch.tensor([token]))
                state.put(where, selected)
        return state

    def stamp(self, steps):
        return self.stamps_from + steps

    def allowed(self, history, *, seed=0):
        """Which tokens may follow, when no timestamp is likely enough to be forced."""
        logits = noise(np.random.default_rng(seed), 1, self.vocabulary)
        logits[:, self.stamps_from :] -= 50
        kept = self.ours(logits, [history])[0].isfinite()
        assert torch.equal(kept, self.theirs(logits[0], history).isfinite())
        return set(kept.nonzero()[:, 0].tolist())

    def random_history(self, random):
        """Texts and timestamps in any order, also in orders that the rules would not allow."""
        length = int(random.integers(0, 8))
        now = int(random.integers(0, STAMPS))
        history = []
        for _ in range(length):
            if random.random() < 0.5:
                now = min(STAMPS - 1, now + int(random.choice([0, 0, 1, 30, 400])))
                history.append(self.stamp(now))
            else:
                history.append(int(random.integers(0, self.tokenizer.eot)))
        return history


def noise(random, rows, vocabulary):
    return torch.from_numpy(random.normal(0, 2, (rows, vocabulary)).astype(np.float32))


def random_rows(case, random):
    histories = [case.random_history(random) for _ in range(AT_ONCE)]
    logits = noise(random, AT_ONCE, case.vocabulary)
    # From "no timestamp is likely" to "one must come": the rule that compares them decides.
    logits[:, case.stamps_from :] += torch.from_numpy(random.uniform(-8, 8, (AT_ONCE, 1)))
    return histories, logits


@pytest.fixture(scope="module", params=[True, False], ids=["multilingual", "English only"])
def case(request):
    return Case(multilingual=request.param)


def test_every_row_of_random_histories_is_what_whisper_allows(case):
    random = np.random.default_rng(7)
    forced = 0
    differing = []

    for _ in range(ROWS // AT_ONCE):
        histories, logits = random_rows(case, random)
        ours = case.ours(logits, histories)
        for row, history in enumerate(histories):
            theirs = case.theirs(logits[row], history)
            forced += not theirs[: case.stamps_from].isfinite().any()
            if not torch.equal(ours[row], theirs):
                differing.append(history)

    assert differing == []
    assert ROWS * 0.2 < forced < ROWS * 0.8  # both ways are taken


def test_the_first_token_is_a_timestamp_of_the_first_second(case):
    allowed = case.allowed([])

    assert allowed == {case.stamp(steps) for steps in range(MAX_FIRST_STAMP + 1)}


def test_after_the_first_timestamp_comes_text_and_no_second_one(case):
    allowed = case.allowed([case.stamp(0)])

    assert max(allowed) < case.stamps_from
    assert case.tokenizer.encode(" said")[0] in allowed
    assert case.tokenizer.eot in allowed


def test_between_texts_everything_from_the_last_timestamp_on_may_come_but_not_itself(case):
    allowed = case.allowed([case.stamp(10), 11, 12])

    assert min(token for token in allowed if token >= case.stamps_from) == case.stamp(11)
    assert max(allowed) == case.stamp(STAMPS - 1)
    assert 13 in allowed


def test_a_closed_segment_is_followed_by_a_timestamp_not_before_it_or_by_the_end(case):
    allowed = case.allowed([case.stamp(10), 11, case.stamp(60)])

    assert min(token for token in allowed if token >= case.stamps_from) == case.stamp(60)
    assert min(allowed) == case.tokenizer.eot


def test_after_a_pair_of_timestamps_text_must_come(case):
    allowed = case.allowed([case.stamp(10), 11, case.stamp(60), case.stamp(60)])

    assert max(allowed) < case.stamps_from
    assert 11 in allowed


def test_at_the_end_of_the_time_range_no_timestamp_is_left(case):
    last = case.stamp(STAMPS - 1)

    after_text = case.allowed([last, 11])
    after_a_segment = case.allowed([case.stamp(0), 11, last])

    assert max(after_text) < case.stamps_from
    assert max(after_a_segment) == last


def test_neither_marks_nor_what_only_prompts_hold_may_come(case):
    tokenizer = case.tokenizer
    never = {tokenizer.sot, tokenizer.sot_prev, tokenizer.no_speech, tokenizer.no_timestamps}

    allowed = case.allowed([case.stamp(0), 11])

    assert not allowed & never
    assert not allowed & set(tokenizer.non_speech_tokens)


def test_a_timestamp_is_forced_only_when_all_of_them_outweigh_every_single_text(case):
    logits = torch.full((2, case.vocabulary), -10.0)
    logits[:, 13] = 1.0
    per_stamp = 1.0 - np.log(STAMPS - 1)  # after 0.00 and a text 1,500 timestamps may come
    logits[0, case.stamps_from :] = per_stamp + 0.01
    logits[1, case.stamps_from :] = per_stamp - 0.01

    ours = case.ours(logits, [[case.stamp(0), 11]] * 2)

    assert not ours[0, : case.stamps_from].isfinite().any()
    assert ours[1, 13] == 1.0


def test_a_state_notes_what_was_chosen():
    case = Case(multilingual=True)

    state = case.state_after([[], [5], [5, case.stamp(3)], [case.stamp(3), 6, 7]])

    assert state.count.tolist() == [0, 1, 2, 3]
    assert state.last.tolist() == [-1, 5, case.stamp(3), 7]
    assert state.before_last.tolist() == [-1, -1, 5, 6]
    assert state.last_stamp.tolist() == [-1, -1, case.stamp(3), case.stamp(3)]


def test_selected_rows_are_copies_until_they_are_put_back():
    case = Case(multilingual=True)
    state = case.state_after([[1], [2], [3]])
    rows = torch.tensor([2, 0])

    selected = state.select(rows)
    case.rules.advance(selected, torch.tensor([30, 10]))
    untouched = state.last.tolist()
    state.put(rows, selected)

    assert untouched == [1, 2, 3]
    assert state.last.tolist() == [10, 2, 30]
    assert state.before_last.tolist() == [1, -1, 3]
    assert state.count.tolist() == [2, 1, 2]


def test_cleared_rows_begin_anew_and_the_others_go_on():
    case = Case(multilingual=True)
    state = case.state_after([[case.stamp(1)], [case.stamp(2)]])

    state.clear(torch.tensor([0]))

    assert [part.tolist() for part in state.parts()] == [
        [0, 1],
        [-1, case.stamp(2)],
        [-1, -1],
        [-1, case.stamp(2)],
    ]


def test_the_first_ranked_token_is_the_likeliest_that_the_rules_allow(case):
    histories, logits = random_rows(case, np.random.default_rng(11))
    state = case.state_after(histories)
    allowed = case.rules.apply(logits, state)

    ranked = case.rules.rank(logits, state, 1)

    assert torch.equal(ranked.tokens[:, 0], allowed.argmax(dim=-1))
    torch.testing.assert_close(ranked.normalisers, allowed.logsumexp(dim=-1), rtol=1e-6, atol=2e-6)
    likeliest = allowed.log_softmax(dim=-1).amax(dim=-1)
    torch.testing.assert_close(ranked.logprobs[:, 0], likeliest, rtol=1e-6, atol=5e-6)


def test_behind_a_likeliest_text_come_the_next_texts(case):
    histories, logits = random_rows(case, np.random.default_rng(17))
    state = case.state_after(histories)
    allowed = case.rules.apply(logits, state).log_softmax(dim=-1)
    texts = allowed[:, : case.stamps_from].topk(RANKED)

    ranked = case.rules.rank(logits, state, RANKED)

    is_text = ranked.tokens[:, 0] < case.stamps_from
    assert 0 < is_text.sum() < AT_ONCE
    assert torch.equal(ranked.tokens[is_text], texts.indices[is_text])
    torch.testing.assert_close(
        ranked.logprobs[is_text], texts.values[is_text], rtol=1e-6, atol=5e-6
    )
    assert (ranked.logprobs[~is_text, 1:] == float(FORBIDDEN)).all()


def test_where_only_one_text_may_come_nothing_is_behind_it(case):
    state = case.state_after([[case.stamp(0), 11, case.stamp(5)]])  # a pair is open
    logits = torch.full((1, case.vocabulary), -20.0)
    logits[0, case.rules.end] = 20.0
    logits[0, case.rules.end + 1 :] = float(FORBIDDEN)

    ranked = case.rules.rank(logits, state, 2)

    assert int(ranked.tokens[0, 0]) == case.rules.end
    assert float(ranked.logprobs[0, 1]) == float(FORBIDDEN)


def test_the_first_of_equally_likely_tokens_comes_first(case):
    logits = torch.zeros(2, case.vocabulary)
    logits[0, [400, 300, 20_000]] = 20.0
    logits[1, case.stamps_from + 40 :] = 20.0
    state = case.state_after([[case.stamp(0), 11], []])

    ranked = case.rules.rank(logits, state, 3)

    assert ranked.tokens[0].tolist() == [300, 400, 20_000]
    assert int(ranked.tokens[1, 0]) == case.stamp(40)


def test_a_rank_depends_neither_on_other_rows_nor_on_the_number_of_threads(case, threads):
    histories, logits = random_rows(case, np.random.default_rng(13))
    state = case.state_after(histories)

    threads(2)
    together = case.rules.rank(logits.clone(), state, RANKED)
    threads(1)
    alone = [
        case.rules.rank(logits[row : row + 1], state.select(slice(row, row + 1)), RANKED)
        for row in range(AT_ONCE)
    ]

    assert torch.equal(together.tokens, torch.cat([each.tokens for each in alone]))
    assert torch.equal(together.logprobs, torch.cat([each.logprobs for each in alone]))
    assert torch.equal(together.normalisers, torch.cat([each.normalisers for each in alone]))
