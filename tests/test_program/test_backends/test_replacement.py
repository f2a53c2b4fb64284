"""Float modules that are replaced get their class back."""

import torch
from torch import nn

from iptq_mm.program.backends.replacement import Replacement, restore


class Doubled(Replacement, nn.ReLU):
    def forward(self, x):
        return 2 * super().forward(x)


def test_restored():
    model = nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU(), nn.GELU()))
    model[1][0].__class__ = Doubled
    assert model(torch.ones(1)) > 1.5
    restore(model)
    assert [type(m) for m in (model[0], *model[1])] == [nn.ReLU, nn.ReLU, nn.GELU]
    restore(model)  # nothing is left to do


def test_subclasses_of_the_module_are_kept():
    class Own(nn.ReLU):
        pass

    class Other(Replacement, Own):
        pass

    module = Own()
    module.__class__ = Other
    restore(module)
    assert type(module) is Own
