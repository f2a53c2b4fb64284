"""What is said while weights are rounded."""

from iptq_mm.calibration.phases.frozen import progress


def test_lines(monkeypatch):
    lines, clock = [], iter([0, 0, 5, 21, 22, 45, 50, 50, 70, 80])
    monkeypatch.setattr(progress, 'print_log', lambda text, logger: lines.append(text))
    monkeypatch.setattr(progress.time, 'perf_counter', lambda: next(clock))
    costs = {'neck': [0.0, 1.0, 2.0, 3.0, 3.0], 'head': [1.0, 1.0]}
    shown = progress.Progress(costs)
    for name, count in (('neck', 5), ('head', 2)):
        one_more = shown.region(name)
        for _ in range(count):
            one_more()
    assert lines == [
        'freeze: neck: weight 2/5, 21 s, 3 min 30 s left',
        'freeze: neck: weight 4/5, 45 s, 38 s left',
        'freeze: neck: 5 weights, 50 s',
        'freeze: head: weight 1/2, 1 min 10 s, 7 s left',
        'freeze: head: 2 weights, 30 s',
    ]


def test_whoever_draws_a_bar_is_told_of_each_weight():
    seen = []
    shown = progress.Progress({'a': [1.0, 3.0], 'b': [4.0]}, lambda *x: seen.append(x))
    for name, count in (('a', 2), ('b', 1)):
        one_more = shown.region(name)
        for _ in range(count):
            one_more()
    assert [(done, due) for done, _, due in seen] == [
        (1 / 8, False),
        (1 / 2, True),
        (1.0, True),
    ]


def test_nothing_is_known_of_weights_without_moments(monkeypatch):
    lines = []
    monkeypatch.setattr(progress, 'EVERY', 0.0)
    monkeypatch.setattr(progress, 'print_log', lambda text, logger: lines.append(text))
    shown = progress.Progress({'neck': [0.0, 0.0]})
    shown.region('neck')()
    assert lines == ['freeze: neck: weight 1/2, 0 s']
