"""copydesk: mirrors every trade of a parent account to child accounts on the same connection kind."""

__version__ = "0.1.0"
