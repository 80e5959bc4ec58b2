"""Recordings whose windows are all decoded, in any order."""

from tests.unit.engines.batched.scripted import said, said_throughout, span_of, speech_map

TALK = [(0.0, 18.0), (19.0, 38.0), (40.0, 55.0), (110.0, 112.0), (115.0, 129.0)]
REPEATED = "and then again " * 40
REFUSED = {  # what sends a window to the next temperature
    "unlikely": lambda span: said((0.0, "perhaps", span.length_s), avg_logprob=-1.1),
    "repetitive": lambda span: said_throughout(span, REPEATED),
    "repetitive over what may be silence": lambda span: said(
        (0.0, REPEATED, span.length_s), no_speech_prob=0.9
    ),
}


def four_talks():
    return speech_map(*TALK, duration_s=140.0)


def one_window(length_s=18.0):
    return speech_map((0.0, length_s), duration_s=length_s)


def let_out_all(run):
    shares = []
    while run.let_out_next():
        shares.append(run.share)
    return shares


def hear_out(run, answer=said_throughout, *, company=1, rng=None):
    """Decode everything, `company` windows at a time; `answer` has the text for each."""
    requests, in_slots = [], []
    while not run.is_done:
        while len(in_slots) < company and (taken := run.next_request()):
            in_slots.append(taken)
            requests.append(taken[1])
        if in_slots:
            part, request = in_slots.pop(rng.integers(len(in_slots)) if rng else 0)
            run.accept(part, answer(span_of(request)))
        let_out_all(run)
    return requests
