# No search: the functions of I-BERT at every site, to compare the mixed ones with.
_base_ = [
    '../../../../deit/deit-tiny_in1k-sample.py',
    '../../../../_base_/papers/ivit_w8a8.py'
]

quantization = dict(
    regions=['backbone', 'head'],
    criterion=dict(type='sqnr'),
    calibration=dict(dataloader={{_base_.train_dataloader}}))
candidates = dict(
    gelu=[dict(type='i_gelu', literal=True)],
    softmax=[dict(type='i_softmax', literal=True)],
    layer_norm=[dict(type='ibert_layernorm', literal=True)])
