from engines.batched.search import DROP_BEHIND, FORK_WITHIN, SAME_TOKENS, Choice, WindowSearch

END, STAMPS_FROM = 1000, 1500
NEARLY = FORK_WITHIN * 0.9
SURE = -0.01


def search_of(rows=4):
    return WindowSearch(range(rows), end=END, stamps_from=STAMPS_FROM)


def sure(token):
    return [Choice(token, SURE)]


def write(search, *tokens):
    """The same tokens in every text, as if each of them were sure."""
    for token in tokens:
        search.advance([sure(token) for _ in search.hypotheses])


def tokens_of(search):
    return [each.tokens for each in search.hypotheses]


def test_a_text_goes_on_by_its_likeliest_token_in_its_place():
    search = search_of()

    steps = search.advance([[Choice(5, -0.1), Choice(6, -4.0)]])

    assert [(step.source, step.row, step.token) for step in steps] == [(0, 0, 5)]
    assert tokens_of(search) == [[5]]


def test_a_text_is_forked_where_another_word_is_nearly_as_likely():
    search = search_of()

    steps = search.advance([[Choice(5, -0.5), Choice(6, -0.5 - NEARLY)]])

    assert [step.source for step in steps] == [0, 0]
    assert [step.token for step in steps] == [5, 6]
    assert len({step.row for step in steps}) == 2


def test_the_end_and_timestamps_are_no_reason_to_fork():
    for first, other in ((STAMPS_FROM, 6), (5, END), (END, 6)):
        search = search_of()

        search.advance([[Choice(first, -0.6), Choice(other, -0.7)]])

        assert len(search.hypotheses) == (first != END)


def test_the_second_word_wins_when_what_follows_it_is_likelier():
    search = search_of()
    search.advance([[Choice(5, -0.5), Choice(6, -1.0)]])

    search.advance([[Choice(7, -2.0)], [Choice(8, SURE)]])
    search.advance([sure(END) for _ in search.hypotheses])

    assert search.best.tokens == [6, 8]
    assert search.hypotheses == []


def test_a_text_far_behind_is_dropped_and_its_place_is_free_again():
    search = search_of(rows=2)
    search.advance([[Choice(5, -0.5), Choice(6, -1.0)]])

    search.advance([sure(7), [Choice(8, SURE - DROP_BEHIND)]])
    steps = search.advance([[Choice(9, -0.5), Choice(10, -1.0)]])

    assert tokens_of(search) == [[5, 7, 9], [5, 7, 10]]
    assert {step.row for step in steps} == {0, 1}


def test_there_are_no_more_texts_than_places():
    search = search_of(rows=2)

    search.advance([[Choice(5, -0.5), Choice(6, -0.6), Choice(7, -0.7)]])

    assert tokens_of(search) == [[5], [6]]


def test_texts_that_write_the_same_again_become_the_likelier_of_them():
    search = search_of()
    search.advance([[Choice(5, -0.5), Choice(6, -0.7)]])

    write(search, *range(20, 20 + SAME_TOKENS - 1))
    before = len(search.hypotheses)
    write(search, 90)

    assert before == 2
    assert [tokens[0] for tokens in tokens_of(search)] == [5]


def test_a_text_that_took_one_token_more_for_the_same_words_joins_the_other():
    search = search_of()
    search.advance([[Choice(5, -0.5), Choice(6, -0.7)]])
    search.advance([sure(20), sure(7)])  # the second text needs two tokens for its word

    for number in range(1, SAME_TOKENS + 1):
        if len(search.hypotheses) > 1:
            search.advance([sure(20 + number), sure(20 + number - 1)])

    assert len(search.hypotheses) == 1
    assert search.hypotheses[0].tokens[0] == 5


def test_timestamps_do_not_keep_texts_apart():
    search = search_of()
    search.advance([[Choice(5, -0.5), Choice(6, -0.7)]])

    search.advance([sure(STAMPS_FROM + 3), sure(STAMPS_FROM + 4)])
    write(search, *range(20, 20 + SAME_TOKENS))

    assert len(search.hypotheses) == 1


def test_a_text_that_cannot_catch_up_with_one_that_ended_is_given_up():
    search = search_of()
    search.advance([[Choice(5, -0.5), Choice(6, -0.7)]])

    search.advance([sure(END), sure(8)])

    assert search.hypotheses == []
    assert search.best.tokens == [5]
    assert search.best.sum_logprob == -0.5 + SURE


def test_a_likelier_text_is_waited_for_when_another_one_ends():
    search = search_of()
    search.advance([[Choice(5, -0.5), Choice(6, -0.7)]])
    search.advance([[Choice(7, -DROP_BEHIND / 2)], sure(8)])  # the second is ahead now

    search.advance([sure(9), sure(END)])

    assert search.best is not None
    assert tokens_of(search) == [[6, 8, 9]]


def test_without_room_for_more_the_likeliest_text_counts():
    search = search_of()
    search.advance([[Choice(5, -0.5), Choice(6, -0.7)]])

    search.stop()

    assert search.best.tokens == [5]
    assert search.hypotheses == []


def test_with_one_place_search_is_greedy():
    search = search_of(rows=1)

    search.advance([[Choice(5, -0.5), Choice(6, -0.5)]])

    assert tokens_of(search) == [[5]]
