"""`python -m copydesk_panel`: the panel's command."""

from copydesk_panel.server import main

main()
