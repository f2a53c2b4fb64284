_base_ = ['../float/swin-tiny_in1k.py', '../datasets/in1k_sample.py']

# Weights are random unless a checkpoint is given: that shows that everything runs
# and how close the integers are to the floats.
load_from = None
random_weights = True

train_pipeline, test_pipeline = _base_.calib_pipeline, _base_.val_pipeline
train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    dataset=dict(_delete_=True, **_base_.calib_set))
val_dataloader = dict(
    batch_size=50, num_workers=2, dataset=dict(_delete_=True, **_base_.val_set))
test_dataloader = val_dataloader
