"""Binance spot on loopback."""
