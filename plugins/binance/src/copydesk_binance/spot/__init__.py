"""The connection kind `binance`: spot."""
