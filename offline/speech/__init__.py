"""Hearing and speaking, without a network."""
