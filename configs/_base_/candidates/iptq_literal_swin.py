# As iptq_literal.py; the code of I-ViT gives probabilities of Swin 8 bits, not 16.
_base_ = './iptq_literal.py'
candidates = dict(softmax=[
    dict(type='i_softmax', literal=True),
    dict(type='log_int_softmax', literal=True),
    dict(type='shiftmax', literal=True, output_bits=8),
    dict(type='bit_softmax', literal=True),
])
