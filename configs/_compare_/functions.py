# Each integer function of GELU, Softmax and LayerNorm by itself, the other two
# kinds staying at the same good function; then the searches. DeiT-Tiny on its
# sample of ImageNet, with weights of 8 and of 4 bits.
title = 'One function at a time: DeiT-Tiny'
notes = """
In the first rows, every site of one kind has the function of the row; the other
kinds have `table_gelu`, `table_softmax` and `ivit_layernorm`. *literal* is the
arithmetic of the published code, on 16-bit inputs as all other rows and, for GELU
and Softmax, on the 8-bit inputs that it was used with. The last rows are searches:
each site has the function that the criterion found best for it."""

_PRESETS = {
    'W8A8': 'configs/deit/deit-tiny_iptq-w8a8_in1k-sample.py',
    'W4A8': 'configs/deit/deit-tiny_iptq-w4a8_in1k-sample.py',
}
_USUAL = dict(
    gelu='table_gelu', softmax='table_softmax', layer_norm='ivit_layernorm')
_FUNCTIONS = dict(
    gelu=['i_gelu', 'shift_gelu', 'poly_gelu'],
    softmax=['i_softmax', 'log_int_softmax', 'shiftmax', 'bit_softmax'],
    layer_norm=['ibert_layernorm', 'fqvit_layernorm'])
_LITERAL = dict(
    gelu=['i_gelu', 'shift_gelu'],
    softmax=['i_softmax', 'log_int_softmax', 'shiftmax', 'bit_softmax'],
    layer_norm=['ibert_layernorm', 'fqvit_layernorm', 'ivit_layernorm'])


def _instead(kind=None, **function):
    """The usual functions, with another one for a kind."""
    candidates = {k: [dict(type=name)] for k, name in _USUAL.items()}
    if kind:
        candidates[kind] = [function]
    return candidates


def _single(kind, name):
    return dict(name=name, candidates=_instead(kind, type=name))


def _literal(kind, name, bits=None):
    return dict(
        name=f'{name}, literal' + (f', {bits}-bit input' if bits else ''),
        candidates=_instead(kind, type=name, literal=True),
        options={f'quantization.wide.{kind}': bits} if bits else {})


def _rows():
    yield dict(name='table_gelu, table_softmax, ivit_layernorm',
               candidates=_instead())
    for kind in _USUAL:
        for name in _FUNCTIONS[kind]:
            yield _single(kind, name)
        for name in _LITERAL[kind]:
            yield _literal(kind, name)
            if kind != 'layer_norm':
                yield _literal(kind, name, 8)
    for name in ('mixed', 'iptq', 'tables'):
        yield dict(
            name=f'search: {name}',
            candidates=f'configs/_base_/candidates/{name}.py')


settings = [
    dict(row, name=f'{bits}: {row["name"]}', config=config)
    for bits, config in _PRESETS.items() for row in _rows()
]
