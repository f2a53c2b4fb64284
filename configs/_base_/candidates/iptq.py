# The search space of IPTQ-ViT: for ViT-B with its 12 blocks, 4*12 Softmax,
# 3*12 GELU and 3*25 LayerNorm candidates, 159 evaluations.
candidates = dict(
    gelu=[
        dict(type='i_gelu'),
        dict(type='shift_gelu'),
        dict(type='poly_gelu'),
    ],
    softmax=[
        dict(type='i_softmax'),
        dict(type='log_int_softmax'),
        dict(type='shiftmax'),
        dict(type='bit_softmax'),
    ],
    layer_norm=[
        dict(type='ibert_layernorm'),
        dict(type='fqvit_layernorm'),
        dict(type='ivit_layernorm'),
    ])
