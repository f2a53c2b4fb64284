"""A region's type is named such that everybody finds the class that mmengine builds."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS as ROOT
from mmengine.registry import DefaultScope, Registry

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.loading.scopes import found_type, full_type, region_scopes
from iptq_mm.registry import MODELS


class Net(torch.nn.Module):
    pass


class Other(torch.nn.Module):
    pass


CHILD = Registry('model', parent=ROOT, scope='scope_of_tests')


@pytest.fixture(autouse=True)
def registered():
    """``Both`` is another class in another scope; ``Rooted`` is everybody's."""
    names = [(ROOT, 'Rooted', Net), (ROOT, 'Both', Other)]
    names += [(CHILD, 'Both', Net), (CHILD, 'Own', Net)]
    for registry, name, module in names:
        registry.register_module(name, module=module)
    yield
    for registry, name, _ in names:
        del registry.module_dict[name]


CASES = [
    ('Own', 'scope_of_tests', 'scope_of_tests.Own', Net),
    ('Both', 'scope_of_tests', 'scope_of_tests.Both', Net),
    ('Both', 'mmengine', 'mmengine.Both', Other),
    ('Both', None, 'mmengine.Both', Other),
    ('Rooted', 'scope_of_tests', 'mmengine.Rooted', Net),
    ('scope_of_tests.Own', 'mmengine', 'scope_of_tests.Own', Net),
    ('torch.nn.Linear', 'scope_of_tests', 'torch.nn.Linear', torch.nn.Linear),
    (torch.nn.Linear, None, 'torch.nn.modules.linear.Linear', torch.nn.Linear),
    # mmengine asks the registry of the model's code: there is but one that knows it.
    ('Own', 'a_scope_without_a_registry', 'scope_of_tests.Own', Net),
]


@pytest.mark.parametrize(('kind', 'scope', 'name', 'expected'), CASES)
def test_full_type(kind, scope, name, expected):
    assert full_type(kind, scope) == name
    assert found_type(kind, scope) is expected
    # Wherever it is read.
    for other in ('mmengine', 'scope_of_tests', 'iptq_mm'):
        with (
            DefaultScope.overwrite_default_scope(other),
            MODELS.switch_scope_and_registry(None) as registry,
        ):
            assert registry.get(name) is expected


@pytest.mark.parametrize('kind', ['Nothing', 'scope_of_tests.Nothing', 'a.b.C'])
def test_nothing_of_this_name(kind):
    assert found_type(kind, 'scope_of_tests') is None
    with pytest.raises(ConfigError, match=rf"no model '{kind}'.*custom_imports"):
        full_type(kind, 'scope_of_tests')


def test_a_class_without_a_name():
    with pytest.raises(ConfigError, match='cannot be named in a config'):
        full_type(type('Made', (torch.nn.Module,), {}), 'scope_of_tests')


def test_scopes_of_regions():
    model = ConfigDict(
        type='a',
        _scope_='outer',
        backbone=dict(type='b'),
        neck=dict(type='n', _scope_='inner', part=dict(type='p')),
        heads=[dict(type='h'), dict(type='i', _scope_='own')],
    )
    scopes = {
        name: [scope for _, scope in region_scopes(model, name, 'default')]
        for name in ('backbone', 'neck', 'neck.part', 'heads', 'heads.0')
    }
    assert scopes == {
        'backbone': ['outer'],
        'neck': ['inner'],
        'neck.part': ['inner'],
        'heads': ['outer', 'own'],
        'heads.0': ['outer'],
    }
    del model['_scope_']
    assert region_scopes(model, 'backbone', 'default')[0][1] == 'default'
