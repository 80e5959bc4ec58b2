from benchmarks.listeners import Side, report
from tests.unit.benchmarks.test_wer import MACHINE


def side(listeners, submit_s, web_mib):
    return Side(listeners, sum(submit_s), submit_s, web_mib, 0.01)


def test_the_ratio_compares_neighbours_in_time(capsys):
    report(
        [
            side(0, [0.1], 50.0),
            side(200, [0.2], 70.0),
            side(200, [0.6], 71.0),
            side(0, [0.6], 69.0),
            side(0, [0.2], 69.0),
            side(200, [0.22], 72.0),
        ],
        MACHINE,
    )

    printed = capsys.readouterr().out
    lines = [line.split("│")[1:-1] for line in printed.splitlines() if line.startswith("│")]
    cells = [[cell.strip() for cell in line] for line in lines]
    assert "1.100" in printed  # of 2, 1 and 1.1
    assert [(cell[0], cell[1], cell[2], cell[6]) for cell in cells] == [
        ("0", "3", "200", "50"),
        ("200", "3", "220", "72"),
    ]
