# Each integer function of GELU, Softmax and LayerNorm by itself, the other two
# kinds staying at the same good function; the sets of the papers; then the
# searches. DeiT-Tiny on its sample of ImageNet, weights of 8 and of 4 bits.
title = 'One function at a time: DeiT-Tiny'
notes = """
In the first rows, every site of one kind has the function of the row; the other
kinds have `interpolated_gelu`, `table_softmax` and `ivit_layernorm`. *literal* is the
arithmetic of the published code, on 16-bit inputs as all other rows and, for GELU
and Softmax, on the 8-bit inputs that it was used with. *all of* has the three functions
of one paper at every site. The last rows are searches: each site has the function that
the criterion found best for it, among those of Mixed Non-linear Quantization (`mixed`),
of IPTQ-ViT (`iptq`), or these and tables (`tables`, the preset).

8-bit weights are rounded to nearest here, rounding of 4-bit weights is not guided, and
128 images calibrate: what is compared does not depend on it, and rows take less time.

Images are normalized and quantized here (`pixels=False`)."""
options = {
    'quantization.pixels': False,
    'quantization.calibration.mirrored': False
}

_PRESETS = {
    'W8A8': ('configs/deit/deit-tiny_w8a8_in1k-sample.py', {
        'quantization.weight.rounding': dict(type='nearest'),
        'quantization.weight.bias_correction': False,
        'quantization.activation.guard_images': 0,
    }),
    'W4A8': ('configs/deit/deit-tiny_w4a8_in1k-sample.py', {
        'quantization.weight.guided': False,
        'quantization.calibration.num_images': 128,
        'quantization.reconstruction.epochs': 0,
    }),
}
_USUAL = dict(
    gelu='interpolated_gelu',
    softmax='table_softmax',
    layer_norm='ivit_layernorm')
_FUNCTIONS = dict(
    gelu=['i_gelu', 'shift_gelu', 'poly_gelu', 'table_gelu'],
    softmax=['i_softmax', 'log_int_softmax', 'shiftmax', 'bit_softmax'],
    layer_norm=['ibert_layernorm', 'fqvit_layernorm'])
_LITERAL = dict(
    gelu=['i_gelu', 'shift_gelu'],
    softmax=['i_softmax', 'log_int_softmax', 'shiftmax', 'bit_softmax'],
    layer_norm=['ibert_layernorm', 'fqvit_layernorm', 'ivit_layernorm'])
_BREAKING = ('i_gelu', 'shift_gelu')
# FQ-ViT leaves GELU in floats, IPTQ-ViT takes LayerNorm from others.
_PAPERS = {
    'I-BERT': ('i_gelu', 'i_softmax', 'ibert_layernorm'),
    'I-ViT': ('shift_gelu', 'shiftmax', 'ivit_layernorm'),
    'IPTQ-ViT': ('poly_gelu', 'bit_softmax', 'ivit_layernorm'),
}
_CRITERIA = {
    'output error': dict(type='output_error', tolerance=0.05),
    'unified metric': dict(type='unified_metric'),
}


def _instead(**functions):
    """The usual functions, with others for some kinds."""
    usual = {kind: dict(type=name) for kind, name in _USUAL.items()}
    return {kind: [f] for kind, f in {**usual, **functions}.items()}


def _single(kind, name):
    return dict(name=name, candidates=_instead(**{kind: dict(type=name)}))


def _literal(kind, name, bits=None):
    function = dict(type=name, literal=True)
    return dict(
        name=f'{name}, literal' + (f', {bits}-bit input' if bits else ''),
        candidates=_instead(**{kind: function}),
        options={f'quantization.wide.{kind}': bits} if bits else {})


def _paper(name, functions):
    chosen = {k: dict(type=f) for k, f in zip(_USUAL, functions)}
    return dict(name=f'all of {name}', candidates=_instead(**chosen))


def _rows(weights):
    yield dict(name=', '.join(_USUAL.values()), candidates=_instead())
    for kind in _USUAL:
        for name in _FUNCTIONS[kind]:
            yield _single(kind, name)
        for name in _LITERAL[kind]:
            # Where sound and literal form agree with 8-bit weights, they do with 4.
            if weights == 'W8A8' or name in _BREAKING:
                yield _literal(kind, name)
            if weights == 'W8A8' and kind != 'layer_norm':
                yield _literal(kind, name, 8)
    if weights == 'W8A8':
        for name, functions in _PAPERS.items():
            yield _paper(name, functions)
    for name in ('mixed', 'iptq', 'tables'):
        for criterion, cfg in _CRITERIA.items():
            if weights == 'W4A8' and (name, criterion) != ('tables', 'output error'):
                continue
            yield dict(
                name=f'search: {name}, {criterion}',
                candidates=f'configs/_base_/candidates/{name}.py',
                options={'quantization.criterion': dict(cfg, _delete_=True)})
    # The presets let a site be 5 % worse for a cheaper function.
    yield dict(
        name='search: tables, output error, no tolerance',
        candidates='configs/_base_/candidates/tables.py',
        options={
            'quantization.criterion':
            dict(type='output_error', tolerance=0.0, _delete_=True)
        })


settings = [
    dict(
        row,
        name=f'{weights}: {row["name"]}',
        config=config,
        options={**options, **row.get('options', {})})
    for weights, (config, options) in _PRESETS.items()
    for row in _rows(weights)
]
