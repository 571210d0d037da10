"""Federated rounds over Flower: who trains, on what, and how replies become the next adapters."""
