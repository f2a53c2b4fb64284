# IPTQ-ViT (arXiv 2511.15369): analyse, assign, calibrate; no training.
_base_ = './ivit_w8a8.py'
# Omega of SQNR, perturbation and operations with equal weights. Perturbation counts for
# an image, operations for an element: with other units one term decides alone.
quantization = dict(
    criterion=dict(type='unified_metric', p_reduction='sum', c_unit='element'),
    # The third stage: ranges of the model that has the chosen functions.
    calibration=dict(recalibrate='all'))
