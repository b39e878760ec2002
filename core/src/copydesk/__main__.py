"""`python -m copydesk`: the command line."""

import sys

from copydesk.cli import main

sys.exit(main())
