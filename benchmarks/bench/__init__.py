"""How fast integer models are, beside float ones and other quantizers' work."""
