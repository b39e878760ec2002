"""The web panel of copydesk."""
