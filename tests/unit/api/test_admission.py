import threading

from api.admission import limit_concurrency


def test_no_more_requests_are_inside_at_once_than_allowed():
    inside, entered, leave = [], threading.Semaphore(0), threading.Event()
    most = []

    def app(environ, start_response):
        inside.append(environ["number"])
        most.append(len(inside))
        entered.release()
        assert leave.wait(30)
        inside.remove(environ["number"])
        return [b"done"]

    limited = limit_concurrency(app, 2)
    threads = [threading.Thread(target=limited, args=({"number": n}, None)) for n in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        assert entered.acquire(timeout=30)
    leave.set()
    for thread in threads:
        thread.join(30)

    assert len(most) == 6
    assert max(most) == 2


def test_an_answer_that_is_being_sent_takes_no_place():
    limited = limit_concurrency(lambda environ, start_response: iter([b"slow"]), 1)

    first = limited({}, None)
    second = limited({}, None)

    assert [*first, *second] == [b"slow", b"slow"]


def test_a_request_that_breaks_leaves_its_place():
    def broken(environ, start_response):
        raise ValueError(environ["number"])

    limited = limit_concurrency(broken, 1)
    broke = []
    for number in range(3):
        try:
            limited({"number": number}, None)
        except ValueError as error:
            broke.append(error.args[0])

    assert broke == [0, 1, 2]
