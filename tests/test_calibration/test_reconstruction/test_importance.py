"""What errors of the outputs of a part cost."""

import pytest
import torch

from iptq_mm.calibration.reconstruction.importance import (
    Importance,
    Metric,
    outstanding,
    plain,
)


def _signs(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2, shape, generator=generator) * 2.0 - 1.0


def test_the_form_is_the_squared_error_of_the_outputs():
    # Outputs y = J x of each row: an error e costs |J e|^2, up to one factor.
    jacobian = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    importance = Importance()
    for seed in range(50):
        importance.add(_signs(16, 12, 5, seed=seed) @ jacobian)
    metric = importance.metric()
    errors = torch.randn(200, 1, 8, generator=torch.Generator().manual_seed(2))
    wanted = torch.stack([(e @ jacobian.T).square().sum() for e in errors])
    found = torch.stack([metric(e[None]) for e in errors])
    ratio = found / wanted
    assert ratio.max() / ratio.min() < 1.2
    # The mean of all elements counts 1.
    mean = sum(r.square().sum() for r in metric.roots[0]) / 8
    assert float(mean) == pytest.approx(1, abs=0.01)


def test_directions_that_nothing_looks_at_cost_nothing():
    looked_at = torch.tensor([[1.0, -1.0, 0.0]])
    importance = Importance()
    importance.add(_signs(64, 100, 1) @ looked_at)
    metric = importance.metric()
    seen = metric(torch.tensor([[[1.0, -1.0, 0.0]]]))
    for unseen in ([1.0, 1.0, 0.0], [0.0, 0.0, 1.0]):
        assert metric(torch.tensor([[unseen]])) < 0.01 * seen


def test_positions_that_stand_out_have_their_own_form():
    gradients = _signs(32, 9, 4)
    gradients[:, 0] *= torch.tensor([10.0, 0.0, 0.0, 0.0])
    first = Importance()
    first.add(gradients)
    marked = outstanding(first.by_position)
    assert marked.nonzero().flatten().tolist() == [0]
    importance = Importance(marked)
    for _ in range(20):
        importance.add(gradients)
    metric = importance.metric()

    def cost(position, channel):
        error = torch.zeros(1, 9, 4)
        error[0, position, channel] = 1
        return float(metric(error))

    assert cost(0, 0) > 50 * cost(3, 0)
    assert cost(0, 1) < 0.2 * cost(3, 1)


def test_where_only_one_position_counts():
    # The last block of a ViT: gradients arrive at the class token alone.
    gradients = torch.zeros(8, 5, 3)
    gradients[:, 0] = _signs(8, 3)
    first = Importance()
    first.add(gradients)
    importance = Importance(outstanding(first.by_position))
    importance.add(gradients)
    errors = torch.ones(1, 5, 3)
    errors[:, 0] = 0
    assert float(importance.metric()(errors)) == 0


def test_few_gradients_do_not_say_that_most_directions_are_free():
    importance = Importance()
    importance.add(_signs(1, 1, 64))
    metric = importance.metric()
    unit = torch.eye(64)
    costs = [float(metric(row[None, None])) for row in unit]
    assert min(costs) > 0.5 and max(costs) < 2


@pytest.mark.parametrize(
    'gradients',
    [
        [],
        [torch.ones(4)],
        [torch.ones(2, 3, 4), torch.ones(2, 3, 5)],  # maps of another size
        [torch.zeros(2, 3, 4)],  # no output depends on it
    ],
)
def test_nothing_is_known(gradients):
    importance = Importance()
    for gradient in gradients:
        importance.add(gradient)
    assert importance.metric() is None


def test_rows_of_any_shape():
    importance = Importance()
    importance.add(_signs(2, 6, 4))
    importance.add(_signs(2, 9, 4))
    assert importance.by_position is None
    metric = importance.metric()
    x = torch.randn(2, 3, 2, 4)
    assert torch.allclose(metric(x), metric(x.flatten(1, 2)))
    assert torch.allclose(metric(x), metric(x[:1]) + metric(x[1:]))


def test_a_pass_with_another_number_of_positions():
    marked = torch.tensor([True, False, False])
    metric = Metric([torch.eye(2), 3 * torch.eye(2)], marked)
    assert float(metric(torch.ones(1, 3, 2))) == 2 * 2 + 9 * 2
    assert float(metric(torch.ones(1, 5, 2))) == 10


def test_without_importance_it_is_the_sum_of_squares():
    assert float(plain(torch.full((2, 3), 2.0))) == 24
