"""The ``qat`` dict: what it may say, and where it goes."""

import pytest
from mmengine.config import Config

from iptq_mm.calibration import ConfigError
from iptq_mm.engine.train.config import read_training, training_config

GOOD = dict(
    optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
    train_cfg=dict(by_epoch=True, max_epochs=3, val_interval=2),
)


def _read(**changes):
    return read_training(Config(dict(qat={**GOOD, **changes})), 'a.py')


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(los='labels'), "no option 'los'.*did you mean 'loss'"),
        (dict(loss='label'), "no training loss 'label'.*did you mean 'labels'"),
        (dict(loss=dict(type='logits', t=2)), "no option 't'"),
        (dict(loss=dict(type='logits', weight=-1)), 'positive'),
        (dict(loss=['labels', 'labels']), 'a loss twice'),
        (dict(loss=3), 'is no training loss'),
        (dict(parameters='some'), "use 'regions' or 'all'"),
        (dict(optim_wrapper={}), 'qat.optim_wrapper is missing: inherit'),
        (dict(train_cfg=None), 'qat.train_cfg is missing: inherit'),
        (dict(optim_wrapper=dict(type='AmpOptimWrapper')), 'mixed precision'),
        (dict(optim_wrapper=dict(clip_grad=None)), 'has no optimizer'),
        (dict(checkpoint=dict(max_keep_ckpts=1)), 'use 2'),
        (dict(custom_hooks=dict(type='EMAHook')), 'qat.custom_hooks'),
    ],
)
def test_mistakes(changes, message):
    with pytest.raises(ConfigError, match=message):
        _read(**changes)


def test_no_settings():
    with pytest.raises(ConfigError, match=r'a.py has no qat dict.*_base_/qat'):
        read_training(Config({}), 'a.py')
    with pytest.raises(ConfigError, match='qat is a dict'):
        read_training(Config(dict(qat=True)), 'a.py')
    with pytest.raises(ConfigError, match='qat.optim_wrapper is missing'):
        read_training(Config(dict(qat={})), 'a.py')


def test_checkpoints_between_accumulated_gradients():
    wrapper = {**GOOD['optim_wrapper'], 'accumulative_counts': 4}
    with pytest.raises(ConfigError, match='use a multiple'):
        _read(optim_wrapper=wrapper, checkpoint=dict(interval=6))
    _read(optim_wrapper=wrapper, checkpoint=dict(interval=8))
    _read(optim_wrapper=wrapper, checkpoint=dict(interval=1, by_epoch=True))


def test_losses():
    assert _read().loss == []
    assert _read(loss='labels').loss == [{'type': 'labels'}]
    both = ['labels', dict(type='features', weight=2)]
    assert _read(loss=both).loss == [{'type': 'labels'}, both[1]]


def test_the_float_training_does_not_sneak_in():
    float_config = dict(
        optim_wrapper=dict(type='AmpOptimWrapper', optimizer=dict(type='LARS')),
        train_cfg=dict(by_epoch=True, max_epochs=300),
        param_scheduler=[dict(type='LinearLR')],
        custom_hooks=[dict(type='EMAHook')],
        auto_scale_lr=dict(enable=True, base_batch_size=1024),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=7),
            checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=1),
        ),
        train_dataloader=dict(
            batch_size=128, dataset=dict(type='A', pipeline=[dict(type='B')])
        ),
        load_from='x.pth',
    )
    cfg = Config(dict(**float_config, qat=GOOD))
    qat = read_training(cfg, 'a.py')
    qat.train_dataloader = dict(batch_size=16, dataset=dict(pipeline=[]))
    cfg = training_config(cfg, qat)
    assert cfg.optim_wrapper == GOOD['optim_wrapper']
    assert cfg.train_cfg == dict(
        type='iptq_mm.ResumableEpochLoop', max_epochs=3, val_interval=2
    )
    assert cfg.param_scheduler is cfg.auto_scale_lr is cfg.load_from is None
    assert cfg.custom_hooks == []
    assert cfg.default_hooks.logger.interval == 7
    assert cfg.default_hooks.checkpoint == dict(
        type='CheckpointHook',
        by_epoch=False,
        interval=100,
        max_keep_ckpts=2,
        backend_args=dict(backend='iptq_mm.whole'),
    )
    assert cfg.train_dataloader == dict(
        batch_size=16, dataset=dict(type='A', pipeline=[])
    )


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        (dict(by_epoch=False, max_iters=5), 'iptq_mm.ResumableIterLoop'),
        (dict(type='IterBasedTrainLoop', max_iters=5), 'iptq_mm.ResumableIterLoop'),
        (dict(max_epochs=1), 'iptq_mm.ResumableEpochLoop'),
        (dict(type='MyLoop'), 'MyLoop'),
    ],
)
def test_loops(given, expected):
    cfg = Config(dict(qat={**GOOD, 'train_cfg': given}))
    cfg = training_config(cfg, read_training(cfg, 'a.py'))
    assert cfg.train_cfg.type == expected and 'by_epoch' not in cfg.train_cfg
