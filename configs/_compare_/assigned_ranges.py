# Ranges taken again with the chosen functions in place (`calibration.recalibrate`), and
# ranges that suit the functions (`calibration.function_ranges`): DeiT-Tiny.
_base_ = '../_base_/calibration/held_out.py'
title = 'Ranges of the assigned model: DeiT-Tiny'
notes = """
*all* and *order* are `calibration.recalibrate`, *site* and *output*
`calibration.function_ranges`. *literal* has the published functions of one paper at
every site, with the 8-bit inputs of GELU and Softmax that they were used with. Every
fifth of the 500 images for calibration evaluates, 64 of the others calibrate: these rows
choose presets, so none of them looks at the images of the evaluation."""
_CONFIG = 'configs/deit/deit-tiny_{}_in1k-sample.py'
_STAGE = 'quantization.calibration.recalibrate'
_INPUTS = 'quantization.calibration.function_ranges'
_PRESETS = {
    'none': {},
    'all': {
        _STAGE: 'all'
    },
    'order': {
        _STAGE: 'order'
    },
}
_LITERAL = {
    **_PRESETS,
    'site': {
        _INPUTS: 'site'
    },
    'output': {
        _INPUTS: 'output'
    },
    'site, all': {
        _INPUTS: 'site',
        _STAGE: 'all'
    },
    'site, order': {
        _INPUTS: 'site',
        _STAGE: 'order'
    },
}
_NARROW = {
    'quantization.wide.gelu': 8,
    'quantization.wide.softmax': 8,
    'quantization.on_mismatch': 'warn',
}
_PAPERS = {
    'I-BERT': dict(
        gelu=[dict(type='i_gelu', literal=True)],
        softmax=[dict(type='i_softmax', literal=True)],
        layer_norm=[dict(type='ibert_layernorm', literal=True)]),
    'I-ViT': dict(
        gelu=[dict(type='shift_gelu', literal=True)],
        softmax=[dict(type='shiftmax', literal=True)],
        layer_norm=[dict(type='ivit_layernorm', literal=True)]),
}

settings = [
    *(dict(
        name=f'{bits.upper()}: {name}',
        config=_CONFIG.format(bits),
        options=stage) for bits in ('w8a8', 'w6a6', 'w4a8')
      for name, stage in _PRESETS.items()),
    *(dict(
        name=f'literal {paper}: {name}',
        config=_CONFIG.format('w8a8'),
        candidates=functions,
        options={
            **_NARROW,
            **stage
        }) for paper, functions in _PAPERS.items()
      for name, stage in _LITERAL.items()),
]
