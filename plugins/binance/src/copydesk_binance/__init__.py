"""Binance for copydesk."""
