"""Analysis of whole models: errors accumulate from site to site."""
