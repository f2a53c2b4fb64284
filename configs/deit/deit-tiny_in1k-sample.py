# DeiT-Tiny in float on a sample of ImageNet that lies, with the weights, in the
# folder that the environment variable IPTQ_MM_DATA names.
_base_ = [
    'mmpretrain::deit/deit-tiny_4xb256_in1k.py',
    '../_base_/datasets/in1k_sample.py'
]
custom_imports = dict(imports=['iptq_mm'], allow_failed_imports=False)

load_from = '{{$IPTQ_MM_DATA:../shared}}/weights/deit-tiny_in1k.pth'

train_pipeline, test_pipeline = _base_.calib_pipeline, _base_.val_pipeline
train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    dataset=dict(_delete_=True, **_base_.calib_set))
val_dataloader = dict(
    batch_size=50, num_workers=2, dataset=dict(_delete_=True, **_base_.val_set))
test_dataloader = val_dataloader
