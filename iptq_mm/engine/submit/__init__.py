"""Files for evaluation servers: COCO test-dev and ImageNet."""
