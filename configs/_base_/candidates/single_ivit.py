# No search: the functions of I-ViT at every site.
candidates = dict(
    gelu=[dict(type='shift_gelu')],
    softmax=[dict(type='shiftmax')],
    layer_norm=[dict(type='ivit_layernorm')])
