"""Bits chosen by measurement: sensitivities and costs of sites, and a 0/1 program."""
