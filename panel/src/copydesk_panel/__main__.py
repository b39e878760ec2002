"""`python -m copydesk_panel`: the same as the command `copydesk-panel`."""

from copydesk_panel.server import main

main()
