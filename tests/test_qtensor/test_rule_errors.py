"""Errors of rules say where, what is not supported, and what to do."""

import pytest
import torch
from region_models import Custom, bound, rows
from torch import nn
from torch.nn import functional as F

from iptq_mm.calibration.phases.observe_mode import Observing
from iptq_mm.intmath import QParams
from iptq_mm.modes.base import FloatMode, quantized_constant
from iptq_mm.qtensor import QTensor, UnsupportedOperationError, WeightQParams
from iptq_mm.qtensor.context import Location, located
from iptq_mm.qtensor.errors import unsupported
from iptq_mm.qtensor.mode import current_mode
from iptq_mm.qtensor.rules.padding import padded, padded_for
from iptq_mm.record import RegionRecord

REGION = 'choose a smaller region in quantization.regions'
NEW = 'make a new tensor instead'
PIXELS = 'set quantization.pixels=False'


def test_where_what_and_what_to_do():
    location = Location(FloatMode(), 'backbone')
    location.path.append('layers.0')
    with located(location):
        error = unsupported('x has no rule', 'do y')
    assert isinstance(error, UnsupportedOperationError)
    assert str(error) == "region 'backbone', module 'layers.0': x has no rule; do y"
    assert str(unsupported('x has no rule')).endswith(f'x has no rule; {REGION}')


class Block(nn.Module):
    """Runs ``body``, a function of the module and the input."""

    def __init__(self, body):
        super().__init__()
        self.body = body
        self.weight = nn.Parameter(torch.zeros(4, 5, 16))
        self.square = nn.Parameter(torch.zeros(16, 16))
        self.kernel = nn.Parameter(torch.zeros(5, 2, 3, 3))

    def forward(self, x):
        return self.body(self, x)


def without_rules(function, x):
    with torch._C.DisableTorchFunctionSubclass():
        return function(x)


#: By name: code within a region, and the start of the message and of the remedy.
IN_REGION = {
    'no rule': (lambda m, x: x.sin(), 'no integer rule for torch', 'or add a rule'),
    'unknown arguments': (
        lambda m, x: torch.cat((x, x), out=x),
        'torch.cat with arguments that its rule does not know',
        'leave these arguments out',
    ),
    'parameter in place': (
        lambda m, x: x + m.weight.fill_(1),
        'torch.Tensor.fill_ changes a parameter or a constant in place',
        NEW,
    ),
    'view overwritten': (
        lambda m, x: (x[:, 0], x.add_(1))[0] + 1,
        'an in-place operation changed a view of this tensor',
        NEW,
    ),
    'in place broadcast': (
        lambda m, x: x[:1].add_(x),
        'an in-place operation broadcasts a tensor of shape (1, 5, 16) to (4, 5, 16)',
        NEW,
    ),
    'in place into plain': (
        lambda m, x: torch.zeros(4, 5, 16).add_(x),
        'an in-place operation would write values of the region to a plain tensor',
        NEW,
    ),
    'times infinity': (
        lambda m, x: x * float('inf'),
        'values are multiplied by inf',
        'look for a division by zero',
    ),
    'behind the table': (
        lambda m, x: without_rules(torch.relu, x),
        'aten.relu.default would touch the integers behind the rule table',
        REGION,
    ),
    'operand': (
        lambda m, x: x @ torch.ones(16, 16),
        'matmul has an operand that is neither a parameter nor computed from',
        'register it as a parameter',
    ),
    'pooling': (
        lambda m, x: F.adaptive_avg_pool1d(x, 3),
        'pooling of (16,) to (3,), windows of several sizes, has no rule',
        REGION,
    ),
    'clamp': (lambda m, x: x.clamp(x), 'clamp to tensors has no rule', REGION),
    'weight of the input': (
        lambda m, x: F.linear(x, x[0]),
        'a weight or bias depends on the input of the region',
        REGION,
    ),
    'cut weight': (
        lambda m, x: F.linear(x, m.square[:8]),
        'a weight is cut or computed from parameters',
        'give the layer the parameter itself',
    ),
    'transposed convolution': (
        lambda m, x: F.conv_transpose2d(x[None], m.kernel),
        'a transposed convolution with kernel',
        REGION,
    ),
    'transposed convolution of plain': (
        lambda m, x: F.conv_transpose2d(x[None], torch.ones(4, 2, 2, 2)),
        'a transposed convolution has an input or weight that is neither',
        REGION,
    ),
    'attention with dropout': (
        lambda m, x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.1),
        'attention with dropout has no rule',
        'call model.eval()',
    ),
    'attention of plain': (
        lambda m, x: F.scaled_dot_product_attention(torch.ones(4, 5, 16), x, x),
        'attention has queries or keys that are neither parameters nor',
        REGION,
    ),
    'batch norm': (
        lambda m, x: F.batch_norm(x, None, None, training=True),
        'batch norm with the statistics of a batch has no rule',
        'call model.eval()',
    ),
    'index of the region': (
        lambda m, x: torch.arange(9.0).index_select(0, x),
        'torch.Tensor.index_select of a plain tensor, with an argument that is',
        'index with integers that are computed outside',
    ),
    'view as a type': (
        lambda m, x: x.view(torch.int32),
        'torch.Tensor.view reads the numbers as another type',
        REGION,
    ),
    'padding value': (
        lambda m, x: F.pad(x, (-1, 1), value=2.0),
        r'padding by (-1, 1) with 2.0 has no rule',
        REGION,
    ),
    'dilated unfold': (
        lambda m, x: F.unfold(x[None], 2, dilation=2),
        'unfold with dilation 2 has no rule',
        REGION,
    ),
    'integer type': (
        lambda m, x: x.to(torch.int8),
        'a conversion to torch.int8 has no rule',
        REGION,
    ),
    'assignment': (
        lambda m, x: x.__setitem__(0, 0.0),
        '__setitem__ of a plain tensor, of a parameter, or with a value',
        'make a new tensor, by torch.cat',
    ),
    'einsum of one': (
        lambda m, x: torch.einsum('bnc->nb', x),
        'einsum of anything but an equation and two tensors has no rule',
        REGION,
    ),
    'parameters of a curve': (
        lambda m, x: F.hardtanh(x, 0, x),
        'hardtanh with the arguments',
        REGION,
    ),
    'dropout': (
        lambda m, x: F.dropout(x, 0.5, training=True),
        'dropout in training mode has no rule',
        'call model.eval() first',
    ),
    'interpolation': (
        lambda m, x: F.interpolate(x[None], scale_factor=2, mode='area'),
        "interpolate with mode='area' and 4 dimensions has no rule",
        REGION,
    ),
    'maximum': (
        lambda m, x: F.max_pool2d(x, 2, dilation=2),
        'maximum pooling with dilation, or with indices, has no rule',
        REGION,
    ),
}


@pytest.mark.parametrize('name', IN_REGION)
def test_in_a_region(name):
    body, what, remedy = IN_REGION[name]
    module = Custom(lambda self, x: self.block(x), block=Block(body))
    with (
        torch.no_grad(),
        bound(module, Observing(RegionRecord())),
        pytest.raises(UnsupportedOperationError) as caught,
    ):
        module(rows())
    message = str(caught.value)
    assert message.startswith(f"region 'backbone', module 'block': {what}")
    assert remedy in message.partition('; ')[2]


def pixels(*shape):
    x = QTensor(
        torch.zeros(shape, dtype=torch.int8), QParams(1.0, -128, 127), 'input:0'
    )
    x.zero_point = (1, 2, 3)
    return x


def value(scale):
    return QTensor(torch.zeros(2, dtype=torch.int8), QParams(scale, -7, 7), 'made')


ALONE = {
    'weight times a number': (
        lambda: QTensor(
            torch.zeros(2, 2), WeightQParams(torch.ones(2), 127), 'w'
        ).scaled(2.0),
        'a weight with one scale per channel cannot be multiplied by a number',
        'multiply the output of its layer instead',
    ),
    'nan added': (
        lambda: value(1.0).add_constant(torch.tensor([0.0, torch.nan])),
        'a constant that holds nan is added',
        'check the mask in the model code',
    ),
    'mask beyond the scale': (
        lambda: value(1e-16).add_constant(torch.tensor([0.0, -100.0])),
        'adding a constant of -100.0 to 0.0 to values with the scale 1e-16',
        'calibrate with images for which these values are not all 0',
    ),
    'padded channels': (
        lambda: padded(pixels(1, 3, 4, 4), (0, 0, 0, 0, 1, 0)),
        'padding of pixels along the batch or the channels has no rule',
        PIXELS,
    ),
    'padding word': (
        lambda: padded_for(pixels(1, 3, 4, 4), 'same'),
        "padding 'same' of pixels has no rule",
        PIXELS,
    ),
    'infinite constant': (
        lambda: quantized_constant(torch.tensor([0.0, torch.inf]), 'p'),
        'a constant holds infinity or NaN, which no scale expresses',
        'check the parameters and the model code',
    ),
    'left its region': (
        current_mode,
        'a QTensor left its region',
        'let every output of a region be a tensor',
    ),
}


@pytest.mark.parametrize('name', ALONE)
def test_outside_every_region(name):
    call, what, remedy = ALONE[name]
    with pytest.raises(UnsupportedOperationError) as caught:
        call()
    message = str(caught.value)
    assert message.startswith(f'outside every region: {what}')
    assert remedy in message.partition('; ')[2]
