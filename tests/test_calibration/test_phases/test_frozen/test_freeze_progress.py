"""What the log says while weights are rounded."""

from iptq_mm.calibration.phases.frozen import progress


def test_lines(monkeypatch):
    lines, clock = [], iter([0, 5, 21, 22, 45, 50])
    monkeypatch.setattr(progress, 'print_log', lambda text, logger: lines.append(text))
    monkeypatch.setattr(progress.time, 'perf_counter', lambda: next(clock))
    shown = progress.Progress('neck', [0.0, 1.0, 2.0, 3.0, 3.0])
    for _ in range(5):
        shown.one_more()
    assert lines == [
        'freeze: neck: weight 2/5, 21 s, 168 s left',
        'freeze: neck: weight 4/5, 45 s, 22 s left',
        'freeze: neck: 5 weights, 50 s',
    ]


def test_nothing_is_known_of_weights_without_moments(monkeypatch):
    lines = []
    monkeypatch.setattr(progress, 'EVERY', 0.0)
    monkeypatch.setattr(progress, 'print_log', lambda text, logger: lines.append(text))
    shown = progress.Progress('neck', [0.0, 0.0])
    shown.one_more()
    assert lines == ['freeze: neck: weight 1/2, 0 s']
