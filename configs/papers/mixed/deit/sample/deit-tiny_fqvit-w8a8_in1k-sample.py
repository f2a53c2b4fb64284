# No search: the functions of FQ-ViT at every site, to compare the mixed ones with.
# Its GELU is a float one: I-ViT's stands in.
_base_ = [
    '../../../../deit/deit-tiny_in1k-sample.py',
    '../../../../_base_/papers/ivit_w8a8.py'
]

quantization = dict(
    regions=['backbone', 'head'],
    criterion=dict(type='sqnr'),
    calibration=dict(dataloader={{_base_.train_dataloader}}))
candidates = dict(
    gelu=[dict(type='shift_gelu', literal=True)],
    softmax=[dict(type='log_int_softmax', literal=True)],
    layer_norm=[dict(type='fqvit_layernorm', literal=True)])
