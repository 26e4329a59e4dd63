"""Hashing, the second stage of CRCGS: binary codes ranked by Hamming distance."""
