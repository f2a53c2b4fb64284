"""What else goes wrong at a user's: a message with what, where and what to do."""

import json
from pathlib import Path

import pytest
import scripts
import torch
from mmengine.config import Config

TOOLS = Path(__file__).parents[2] / 'tools'
TOOL = TOOLS / 'quantize.py'

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture
def refused(tool, vit_run):
    """What tools/quantize.py says to a changed config of the tiny ViT."""

    def run(change, *options):
        cfg = Config.fromfile(vit_run.config)
        change(cfg)
        cfg.dump('changed.py')
        ran = tool('changed.py', *options)
        assert ran.code == 1 and not list(Path().rglob('plan.json'))
        return ran.mistake

    return run


def test_types_that_nobody_knows(refused):
    def model(cfg):
        cfg.model.backbone.type = 'VisionTransformed'

    def metric(cfg):
        cfg.test_evaluator.type = 'Acuracy'

    assert "no model 'VisionTransformed' in the scope 'mmpretrain'" in refused(model)
    assert 'Acuracy is not in the mmpretrain::metric registry' in refused(metric)


def test_an_argument_that_nobody_knows(refused):
    def change(cfg):
        cfg.model.backbone.dropout = 0.5

    message = refused(change)
    assert 'the config cannot be built: TypeError' in message
    assert "unexpected keyword argument 'dropout'" in message


def test_a_metric_that_fits_another_data_set(refused):
    """Found before calibration, which takes hours."""

    def change(cfg):
        cfg.test_evaluator = dict(type='MultiTasksMetric', task_metrics=dict(a=[]))

    def coco(cfg):
        cfg.test_evaluator = dict(type='mmdet.VOCMetric')

    message = refused(coco)
    assert 'the metrics of test_evaluator (VOCMetric) cannot take' in message
    assert 'name one that fits model and data set' in message
    assert not list(Path().rglob('calibration.pth'))


def test_a_pipeline_that_does_not_fit_the_model(refused):
    def change(cfg):
        cfg.test_dataloader.dataset.pipeline = [dict(type='LoadImageFromFile')]
        cfg.test_dataloader.collate_fn = dict(type='pseudo_collate')

    message = refused(change)
    assert 'the evaluation images are no batch for a model' in message
    assert 'end the pipeline of test_dataloader.dataset with PackInputs' in message


def test_images_that_do_not_fit_the_model(refused):
    def change(cfg):
        cfg.data_preprocessor.update(mean=[0.0], std=[1.0])
        cfg.test_dataloader.dataset.pipeline[0].color_type = 'grayscale'

    message = refused(change)
    assert 'the float model cannot predict the first test image' in message
    assert 'have to fit each other' in message


@pytest.fixture
def refused_detector(tool, detector_run):
    """What tools/quantize.py says to other annotations; nothing was calibrated."""

    def run(content):
        Path('other.json').write_text(content)
        options = ['--cfg-options', 'test_evaluator.ann_file=other.json']
        ran = tool(detector_run.config, '--work-dir', 'there', *options)
        assert ran.code == 1 and not Path('there/calibration.pth').exists()
        return ran.mistake

    return run


def test_wrong_annotation_files(refused_detector, detector_run):
    """The metrics themselves would find out at their end."""
    name = Config.fromfile(detector_run.config).test_evaluator.ann_file
    right = json.loads(Path(name).read_text())
    images = [{**image, 'id': image['id'] + 7} for image in right['images']]
    message = refused_detector(json.dumps({**right, 'images': images}))
    assert 'the annotations of CocoMetric lack 3 of 3 test images' in message
    assert 'as ann_file of test_evaluator' in message
    message = refused_detector(json.dumps({**right, 'images': right['images'][1:]}))
    assert 'lack 1 of 3 test images, for instance' in message and '0.png' in message
    categories = [dict(id=1, name='red'), dict(id=2, name='blue')]
    message = refused_detector(json.dumps({**right, 'categories': categories}))
    assert "lack 1 of 2 classes of the test data, for instance 'green'" in message
    for content in ('hello', '[1, 2]', '{"images": 3}'):
        message = refused_detector(content)
        assert 'test_evaluator cannot be built' in message
        assert 'check its type, its options and its ann_file' in message


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_no_gpu(refused):
    message = refused(lambda cfg: None, '--device', 'cuda')
    assert '--device cuda' in message and 'write --device cpu' in message
    assert 'write cpu, cuda or cuda:1' in refused(lambda cfg: None, '--device', 'gpu')


def test_a_back_end_that_cannot_run_on_the_gpu(refused, monkeypatch):
    """Said before anything is calibrated, or even loaded."""
    monkeypatch.setattr('mmengine.device.utils.DEVICE', 'cuda')
    message = refused(lambda cfg: None, '--backend', 'native')
    assert "back end 'native' cannot run the model: it runs on cpu" in message
    assert 'Write --device cpu, or --backend compiled or reference' in message
    assert not list(Path().rglob('*.log'))


def test_the_cpu_beside_a_gpu(tool, vit_run, monkeypatch):
    monkeypatch.setattr('mmengine.device.utils.DEVICE', 'cuda')
    ran = tool(vit_run.config, '--device', 'cpu', '--no-float', '--work-dir', 'there')
    assert ran.code == 0, ran.err
    results = json.loads(Path('there/results.json').read_text())
    assert results['device'] == 'cpu' and results['float'] == {}
    assert results['integer'] == vit_run.results['integer']


def test_float_results_and_none(tool, vit_run):
    with pytest.raises(SystemExit):
        tool(vit_run.config, '--no-float', '--float-results', 'x.json')
    ran = tool(vit_run.config, '--float-results', 'x.json')
    assert ran.code == 1 and 'there is no file x.json' in ran.mistake


def test_a_work_dir_that_is_a_file(tool, vit_run):
    Path('taken').write_text('mine')
    ran = tool(vit_run.config, '--work-dir', 'taken')
    assert ran.code == 1 and 'taken' in ran.mistake
    assert Path('taken').read_text() == 'mine'


def test_ctrl_c(tool, vit_run, monkeypatch):
    """The phases that were finished are kept, and the message says so."""
    from iptq_mm.engine.quantize import phases

    def interrupt(*args):
        # Python makes this of the signal, unless the shell had it ignored.
        raise KeyboardInterrupt

    monkeypatch.setattr(phases, 'analyse', interrupt)
    ran = tool(vit_run.config, '--work-dir', 'there')
    assert ran.code == 130 and 'Traceback' not in ran.err
    assert 'interrupted: finished phases are kept' in ran.err and '--resume' in ran.err
    assert '--resume' in ran.err
    assert list(torch.load('there/calibration.pth')['seconds']) == ['observe']


def test_out_of_memory(tool, vit_run, monkeypatch):
    from iptq_mm.engine.quantize import phases

    monkeypatch.setattr(phases, 'observe', lambda *_: torch.empty(1 << 60))
    ran = tool(vit_run.config)
    assert ran.code == 1
    assert 'out of memory: use smaller batches' in ran.mistake


def test_bugs_show_their_trace(tool, vit_run, monkeypatch):
    from iptq_mm.engine.quantize import phases

    monkeypatch.setattr(phases, 'observe', lambda *_: {}['bug'])
    with pytest.raises(KeyError, match='bug'):
        tool(vit_run.config)


def other_tool(name, monkeypatch, capsys):
    return scripts.runner(scripts.as_module(TOOLS / f'{name}.py'), monkeypatch, capsys)


@pytest.fixture
def integer(vit_run, tmp_path, monkeypatch):
    """Writes integer.py and a changed integer.pth into the folder of the test."""
    monkeypatch.chdir(tmp_path)

    def write(change):
        checkpoint = torch.load(vit_run.folder / 'integer.pth', weights_only=True)
        change(checkpoint['state_dict'])
        torch.save(checkpoint, 'integer.pth')
        text = (vit_run.folder / 'integer.py').read_text()
        Path('integer.py').write_text(text)
        return 'integer.py', 'integer.pth'

    return write


@pytest.mark.parametrize('name', ['export', 'check_backends', 'audit'])
def test_a_damaged_plan(integer, monkeypatch, capsys, name):
    def change(state):
        plan = state['backbone.quantization_plan']
        state['backbone.quantization_plan'] = plan[: len(plan) // 2].clone()

    tool = other_tool(name, monkeypatch, capsys)
    ran = tool(*integer(change), *(['--out', 'x'] * (name == 'export')))
    assert ran.code in (1, 2)
    assert 'plan' in ran.mistake


def test_a_plan_that_is_gone(integer, monkeypatch, capsys):
    tool = other_tool('check_backends', monkeypatch, capsys)
    ran = tool(*integer(lambda state: state.pop('backbone.quantization_plan')))
    assert ran.code == 1 and "no plan for region 'backbone'" in ran.mistake


@pytest.mark.parametrize('name', ['export', 'check_backends', 'audit'])
def test_a_back_end_in_the_written_config_that_is_none(
    integer, monkeypatch, capsys, name
):
    tool = other_tool(name, monkeypatch, capsys)
    ran = tool(
        *integer(lambda state: None),
        *(['--out', 'x'] * (name == 'export')),
        '--cfg-options',
        'model.backbone.backend=nativ',
    )
    assert ran.code in (1, 2)
    assert "no back end 'nativ'" in ran.mistake and 'native' in ran.mistake


def test_a_criterion_that_names_no_candidate(refused):
    def fixed(**names):
        def change(cfg):
            cfg.quantization.criterion = dict(type='fixed', names=names)

        return change

    message = refused(fixed(gelu='shiftmax'))
    assert "quantization.criterion: the 'fixed' criterion names 'shiftmax'" in message
    assert not list(Path().rglob('calibration.pth'))
    message = refused(fixed(gelu='table_gelu', softmax='table_softmax'))
    assert "site 'layers.0.ln1/layer_norm:0'" in message
    assert 'names no function for layer_norm' in message


def test_launcher_that_is_none(vit_run, tmp_path):
    from iptq_mm.calibration import ConfigError
    from iptq_mm.engine.run.pipeline import quantize_and_compare

    with pytest.raises(ConfigError, match="no launcher 'slurmy': use pytorch"):
        quantize_and_compare(
            vit_run.config, work_dir=str(tmp_path / 'out'), launcher='slurmy'
        )
