# The demo classifier, all of it integer-only, 8-bit weights and activations.
_base_ = [
    './vit_demo.py', '../_base_/quantization/w8a8.py',
    '../_base_/candidates/tables.py'
]
load_from = 'demo/vit_demo.pth'
# The percentile of the preset suits the outliers of large transformers; the search
# finds that these small ones have none.
quantization = dict(
    regions=['backbone', 'head'], activation=dict(search_images=128))
